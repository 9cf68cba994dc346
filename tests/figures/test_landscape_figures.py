from figures import focal_window, landscape


def test_an_atlas_is_drawn(tmp_path):
    rows = [{"value": 0.1 * r, "index": 3 - r, "rank": r, "copies": 12**r} for r in range(3)]
    setting = {"classes": 3, "dim": 3, "per_class": 1, "loss": {"name": "ce"}}
    path = landscape.draw({"setting": setting, "result": {"rows": rows}}, tmp_path / "picture.png")
    assert path.stat().st_size > 5000


def test_a_window_is_drawn_with_and_without_partial_states(tmp_path):
    curves = {"c": [1.0, 2.0, 3.0], "values": {"1": [0.9, None, 1.1], "2": [None, None, None], "3": [0.8, 1.0, 1.2]}}
    thresholds = {"low": 1.0, "maxwell": 2.0, "high": 3.0}
    result = {"curves": curves, "thresholds": thresholds, "value_at_zero": 1.0, "states": [{"value": 0.9}]}
    for window in ([1.5, 2.5], None):
        record = {"setting": {"classes": 3, "gamma": 3.0}, "result": result | {"window": window}}
        assert focal_window.draw(record, tmp_path / "picture.png").stat().st_size > 5000
