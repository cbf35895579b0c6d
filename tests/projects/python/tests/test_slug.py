import pytest

from slug import slug


@pytest.fixture
def titles(tmp_path):
    file = tmp_path / "titles.txt"
    file.write_text("One\nTwo Three\n")
    return file.read_text().splitlines()


@pytest.mark.parametrize(
    ("title", "expected"),
    [("Title", "title"), ("one two three", "one-two-three"), ("", "")],
)
def test_a_slug(title, expected):
    assert slug(title) == expected


def test_many(titles):
    assert [slug(title) for title in titles] == ["one", "two-three"]


@pytest.mark.skip(reason="not yet")
def test_other_scripts():
    assert slug("ελλάδα") == "ellada"
