"""Holm, and Benjamini and Hochberg."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from halueval.stats.multiplicity import benjamini_hochberg, holm

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def test_holm_by_hand():
    # Sorted .005 ·4 = .02, .01 ·3 = .03, .03 ·2 = .06, .04 ·1 → at least .06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_benjamini_hochberg_by_hand():
    # Sorted .005 ·4/1 = .02, .01 ·4/2 = .02, .03 ·4/3 = .04, .04 ·4/4 = .04.
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])


@settings(max_examples=10)  # statsmodels collects garbage at each call of Holm, a tenth of a second
@given(P_VALUES)
def test_both_are_statsmodels(p_values):
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)
    assert benjamini_hochberg(p_values) == pytest.approx(multipletests(p_values, method="fdr_bh")[1], abs=1e-12)


@given(P_VALUES, st.randoms())
def test_the_order_changes_nothing(p_values, random):
    order = list(range(len(p_values)))
    random.shuffle(order)
    for adjust in (holm, benjamini_hochberg):
        shuffled = adjust([p_values[i] for i in order])
        assert (shuffled == adjust(p_values)[order]).all()


def test_nothing_to_adjust_is_nothing():
    assert holm([]).shape == benjamini_hochberg([]).shape == (0,)


@pytest.mark.parametrize("p_values", [[0.1, np.nan], [1.1], [-0.1], [[0.1]]])
@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_what_is_no_p_value_is_refused(adjust, p_values):
    with pytest.raises(ValueError, match="p-values"):
        adjust(p_values)
