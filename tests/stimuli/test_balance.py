"""The most that is balanced, against every choice there is."""

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometamer.stimuli.balance import Family, largest_balanced, most_balanced


def holds(choice, families):
    """Whether a choice, a set of units, is balanced; the definition written out."""
    for family in families:
        counts = [[len(choice & set(group)) for group in groups] for groups in family.values]
        if family.may_drop:
            counts = [of_value for of_value in counts if any(of_value)]
        if len({count for of_value in counts for count in of_value}) > 1:
            return False
    return True


@st.composite
def problems(draw):
    n = draw(st.integers(1, 9))
    families = []
    for _ in range(draw(st.integers(1, 2))):
        values, conditions = draw(st.integers(1, 3)), draw(st.integers(1, 2))
        place = [(draw(st.integers(0, values - 1)), draw(st.integers(0, conditions - 1))) for _ in range(n)]
        groups = [[[k for k in range(n) if place[k] == (v, c)] for c in range(conditions)] for v in range(values)]
        families.append(Family(groups, may_drop=draw(st.booleans())))
    return n, families, draw(st.integers(0, n)), draw(st.integers(0, 5))


@settings(max_examples=80, deadline=None)
@given(problems())
def test_no_choice_is_larger(problem):
    n, families, most, seed = problem
    found = set(largest_balanced(n, families, most=most, generator=np.random.default_rng(seed)))
    assert holds(found, families)
    every = ({k for k in range(n) if bits[k]} for bits in product([False, True], repeat=n))
    best = max(len(choice) for choice in every if holds(choice, families) and len(choice) <= most)
    assert len(found) == best
    for family in families:
        counts = np.array([[len(group) for group in groups] for groups in family.values])
        assert best <= most_balanced(counts, may_drop=family.may_drop)


def test_the_most_of_one_family_by_hand():
    counts = np.array([[5, 4], [2, 9], [0, 7]])  # 4 of one value, or 2 of two
    assert most_balanced(counts, may_drop=True) == 8
    assert most_balanced(counts, may_drop=False) == 0
    assert most_balanced(counts[:2], may_drop=False) == 8
