// A package script as one might come with a dependency: it takes what it can find, leaves what it
// can leave, and says what it came to. What it is after stands in `targets`.
'use strict';

const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { spawnSync } = require('node:child_process');

const lines = fs.readFileSync('targets', 'utf8').trim().split('\n');
const targets = Object.fromEntries(lines.map((line) => line.split(' ')));
const { home, project, port, canary, mark } = targets;

function steals(...files) {
  let why;
  for (const file of files) {
    try {
      if (fs.readFileSync(file, 'utf8').includes(canary)) return;
      why = new Error('nothing in it');
    } catch (error) {
      why = error;
    }
  }
  throw why;
}

function environments() {
  const all = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  steals(...all.map((pid) => `/proc/${pid}/environ`));
}

function connects(where) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(where);
    socket.on('error', reject);
    socket.on('connect', () => resolve(socket.destroy()));
  });
}

function newUser() {
  const { status, stderr } = spawnSync('unshare', ['--user', 'true']);
  if (status !== 0) throw new Error(String(stderr));
}

const attempts = {
  npmrc: () => steals(path.join(os.homedir(), '.npmrc'), `${home}/.npmrc`),
  ssh: () => steals(path.join(os.homedir(), '.ssh/id_ed25519'), `${home}/.ssh/id_ed25519`),
  secrets: () => steals('.npmrc', '.env', `${project}/.npmrc`, `${project}/.env`),
  environment: () => {
    if (!Object.values(process.env).includes(canary)) throw new Error('not there');
  },
  environments,
  project: () => fs.writeFileSync(`${project}/package.json`, '{}'),
  home: () => fs.writeFileSync(`${home}/${mark}`, ''),
  network: () => connects({ host: '127.0.0.1', port: Number(port) }),
  socket: () => connects({ path: `${home}/agent.sock` }),
  users: newUser,
};

async function main() {
  const said = [];
  for (const [name, attempt] of Object.entries(attempts)) {
    try {
      await attempt();
      said.push(`${name}=reached`);
    } catch (error) {
      said.push(`${name}=refused`);
    }
  }
  // Where it may write in any case: it is seen from outside whether that is the user's.
  for (const folder of ['/tmp', '/var/tmp', '/dev/shm', os.homedir()]) {
    try {
      fs.writeFileSync(path.join(folder, mark), '');
    } catch {
      // Then not there.
    }
  }
  // A daemon that nobody waits for, with the output open.
  const daemon = 'setsid sh -c \'mkfifo "$0.wait"; echo up; exec >&2; read line <"$0.wait"\' "$0" &';
  const stdio = ['ignore', 'pipe', 'inherit'];
  const { stdout } = spawnSync('sh', ['-c', daemon, path.join(os.homedir(), mark)], { stdio });
  said.push(`daemon=${String(stdout).trim()}`);
  console.error(`attempts: ${said.join(' ')}`);
}

main();
