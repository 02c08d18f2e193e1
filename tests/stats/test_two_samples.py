"""Two unrelated sets: Fisher's test against its textbook example and scipy, jackknife and permutation by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from halueval.stats.two_samples import fisher_exact, jackknife_two_samples, permutation_null, upper_p


def test_lady_tasting_tea():
    # Fisher (1935): 3 of 4 against 1 of 4: (16 + 1)/70 on each side.
    assert fisher_exact(3, 4, 1, 4) == pytest.approx(34 / 70)
    assert fisher_exact(4, 4, 0, 4) == pytest.approx(2 / 70)
    assert fisher_exact(2, 4, 2, 4) == pytest.approx(1.0)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 30), st.integers(1, 30), st.data())
def test_fisher_equals_scipy(n1, n2, data):
    s1, s2 = data.draw(st.integers(0, n1)), data.draw(st.integers(0, n2))
    expected = stats.fisher_exact([[s1, n1 - s1], [s2, n2 - s2]]).pvalue
    assert fisher_exact(s1, n1, s2, n2) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("counts", [(1, 0, 1, 2), (3, 2, 0, 1), (-1, 2, 0, 1)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ValueError, match="successes"):
        fisher_exact(*counts)


def test_jackknife_of_a_difference_of_means_is_the_usual_error():
    a, b = np.array([1.0, 2.0, 4.0, 9.0]), np.array([0.0, 3.0, 5.0])
    found = jackknife_two_samples(lambda u, v: float(u @ a / u.sum() - v @ b / v.sum()), 4, 3)
    assert found.value == pytest.approx(4 - 8 / 3)
    assert found.standard_error == pytest.approx(math.sqrt(a.var(ddof=1) / 4 + b.var(ddof=1) / 3))
    low, high = found.interval()
    assert low < found.value < high


def test_a_single_member_has_no_error():
    found = jackknife_two_samples(lambda u, v: 1.0, 1, 5)
    assert found.standard_error is None
    assert found.interval() == (None, None)
    assert found.p_value() is None


def test_permutations_keep_the_sizes_and_p_counts_itself():
    null = permutation_null(lambda mask: float(mask.sum()), 3, 4, n_permutations=19)
    assert (null == 3).all()
    assert upper_p(3.0, null) == 1.0
    assert upper_p(3.5, null) == 1 / 20
