from ufm.cli.words import bias_text, decays_text, depth_sentence, loss_text, statuses_text

FIT = {"conditions": 4, "spread": 0.3, "slope": 1.0, "low": 0.5, "high": 2.0, "scatter": 0.1}


def test_losses_decays_and_statuses():
    assert loss_text({"name": "focal", "gamma": 2.0}) == "focal 2"
    assert decays_text(True, 0.1, 0.2, None) == ", decays W 0.1, H 0.2, b none"
    assert decays_text(False, 0.1, 0.2, None) == ""
    assert [bias_text(decay) for decay in (None, 0.0, 0.005)] == ["none", "0", "0.005"]
    assert statuses_text({"CONVERGED": 0, "MAX_STEPS": 2, "NONFINITE": 0}) == "0 converged, 2 max steps"


def test_a_depth_without_a_bound_is_not_called_determined():
    assert depth_sentence(FIT | {"depth": 2.0, "range": (1.0, 4.0)}).endswith("; m = 2 (1 to 4).")
    assert "m is not determined (best 2, 1 to none)." in depth_sentence(FIT | {"depth": 2.0, "range": (1.0, None)})
    assert "no penalty" in depth_sentence(FIT | {"depth": None, "range": (None, None)})
