from itertools import chain

import pytest

from counterpoint.training.batch_sampler import Batches


def test_evaluation_sees_every_clip_once_in_order():
    assert list(chain(*Batches(10, 4))) == list(range(10))
    assert [len(b) for b in Batches(10, 4)] == [4, 4, 2]


def test_training_order_follows_from_seed_and_epoch_alone():
    def order(seed, epoch):
        batches = Batches(50, 8, train=True, seed=seed)
        batches.epoch = epoch
        return list(chain(*batches))

    assert order(1, 3) == order(1, 3)
    assert order(1, 3) != order(1, 4)
    assert order(1, 3) != order(2, 3)
    assert sorted(order(1, 3)) == list(range(50))


@pytest.mark.parametrize(("clips", "size"), [(33, 32), (65, 32), (7, 3), (2, 32), (96, 32)])
def test_training_leaves_no_single_clip_over(clips, size):
    sizes = [len(b) for b in Batches(clips, size, train=True)]
    assert len(sizes) == len(Batches(clips, size, train=True)) == -(-clips // size)
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= size


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("clips", [1, 10, 11])
def test_processes_share_the_clips_and_have_equally_many(train, clips):
    shares = [[list(b) for b in Batches(clips, 3, train=train, rank=rank, processes=3)] for rank in range(3)]
    assert len({tuple(len(b) for b in share) for share in shares}) == 1
    assert set(chain(*chain(*shares))) == set(range(clips))
