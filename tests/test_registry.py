import pytest

from vln.errors import UnknownName, VlnError
from vln.registry import Registry


@pytest.fixture
def animals():
    registry = Registry("animal")
    registry.add("horse", 1)
    registry.add("house mouse", 2)
    return registry


def test_entries_are_found_by_name(animals):
    assert animals["horse"] == 1
    assert "horse" in animals
    assert "cow" not in animals
    assert list(animals) == ["horse", "house mouse"]


def test_adding_gives_the_entry_back(animals):
    assert animals.add("cow", 3) == 3


def test_a_typo_gets_a_suggestion_and_all_names(animals):
    with pytest.raises(UnknownName) as caught:
        animals["hosre"]
    message = str(caught.value)
    assert message == "unknown animal 'hosre'. Did you mean 'horse'? Known: horse, house mouse."
    assert isinstance(caught.value, VlnError)


def test_a_name_like_no_other_gets_all_names(animals):
    with pytest.raises(UnknownName, match=r"unknown animal 'zzz'\. Known: horse, house mouse\."):
        animals["zzz"]


def test_an_empty_registry_says_that_nothing_is_known():
    with pytest.raises(UnknownName, match=r"Known: none\."):
        Registry("animal")["cow"]


def test_a_name_is_taken_only_once(animals):
    with pytest.raises(ValueError, match="animal 'horse' is registered twice"):
        animals.add("horse", 4)
