import torch

from deepnet.data.augmentation import augmented, cropped, flipped, random_moves


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int = 40) -> torch.Tensor:
    return torch.randn(n, 3, 8, 6, generator=generator(1))


def test_each_image_is_itself_or_its_mirror_image():
    before = images()
    after = flipped(before, random_moves(len(before), generator()).is_flipped)
    is_same = (after == before).all((1, 2, 3))
    is_mirrored = (after == before.flip(-1)).all((1, 2, 3))
    assert bool((is_same ^ is_mirrored).all())
    assert 5 < int(is_mirrored.sum()) < 35


def test_each_crop_is_a_window_of_the_padded_image():
    before, padding = images(), 2
    after = cropped(before, random_moves(len(before), generator(), padding).shifts, padding)
    padded = torch.nn.functional.pad(before, (padding,) * 4)
    windows = padded.unfold(2, 8, 1).unfold(3, 6, 1)  # (n, C, 5, 5, 8, 6)
    matches = (windows == after[:, :, None, None]).all(-1).all(-1).all(1).sum((1, 2))
    assert matches.tolist() == [1] * len(before)


def test_crops_differ_between_images_and_repeat_with_the_generator():
    same = images(1).expand(40, -1, -1, -1)
    once, again, other = (augmented(same, random_moves(40, generator(seed))) for seed in (0, 0, 1))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert len(once.flatten(1).unique(dim=0)) > 20
    assert once.shape == same.shape


def test_a_share_moves_as_it_does_within_the_batch():
    before, share = images(), slice(1, None, 3)
    moves = random_moves(len(before), generator())
    assert torch.equal(augmented(before[share], moves.of(share)), augmented(before, moves)[share])
