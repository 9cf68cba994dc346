"""The largest root of the stationarity of one singular direction, where strengths are lost in rounding."""

import pytest

from ufm.theory.deep_direction import stationary_root


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2**0.5, 10**0.5, 7.0])
@pytest.mark.parametrize("M", [3, 4, 20])
def test_without_strength_the_target_is_reached(sigma, M):
    """u^M = sigma at strength 0; at 1e-2 the root is less."""
    for strength in (0.0, 1e-300, 1e-20):
        assert stationary_root(sigma, strength, M) == pytest.approx(sigma ** (1 / M), rel=1e-9)
    assert stationary_root(sigma, 1e-4, M) < sigma ** (1 / M) * (1 - 1e-7)
