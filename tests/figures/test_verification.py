from figures.verification import draw


def test_it_draws_verdicts_with_and_without_saddles(tmp_path):
    saddle = {"value": 1.0, "morse_index": 3}
    full = {
        "spec": {"name": "ce"},
        "holds": True,
        "quantiles": {"value": [0.0, 1e-9], "logits": [1e-8]},
        "saddles": [saddle],
    }
    empty = {
        "spec": {"name": "mse"},
        "holds": False,
        "quantiles": {"value": []},
        "saddles": [],
    }
    path = draw({"result": {"verdicts": [full, empty]}}, tmp_path / "picture.png")
    assert path.stat().st_size > 5000
