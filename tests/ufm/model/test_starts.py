import torch

from ufm.model.starts import BLOCK, normal_starts


def test_a_start_depends_on_its_seed_and_number_alone():
    together = normal_starts(7, 5, 0, 3 * BLOCK + 10)
    torch.testing.assert_close(normal_starts(7, 5, BLOCK - 2, 4), together[BLOCK - 2 : BLOCK + 2], rtol=0, atol=0)
    torch.testing.assert_close(normal_starts(7, 5, 3 * BLOCK + 9, 1), together[-1:], rtol=0, atol=0)


def test_starts_are_standard_normal_and_differ():
    drawn = normal_starts(50, 0, 0, 1000)
    assert abs(float(drawn.mean())) < 0.02
    assert abs(float(drawn.std()) - 1) < 0.02
    assert len(drawn[:, 0].unique()) == 1000
    others = torch.cat([normal_starts(50, seed, 10**9, 1) for seed in range(20)])
    assert len(others[:, 0].unique()) == 20
