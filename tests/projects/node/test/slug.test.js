'use strict';

const assert = require('node:assert/strict');
const { describe, it, test } = require('node:test');

const slug = require('../src/slug.js');

describe('a slug', () => {
  it('is of small letters', () => assert.equal(slug('Title'), 'title'));
  it('has hyphens for spaces', () => assert.equal(slug('one two three'), 'one-two-three'));
});

test('an empty title has an empty one', async () => assert.equal(await slug(''), ''));
test('other scripts', { skip: 'not yet' }, () => assert.equal(slug('ελλάδα'), 'ellada'));
