import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import MultiStepLR, StepLR

from counterpoint.errors import ConfigError, UnknownNameError
from counterpoint.training.config import OptimConfig, TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.optim import Schedule, create_optimizer, create_schedule
from counterpoint.training.resolve import check


def weights():
    return [nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2), requires_grad=False)]


def rates(schedule, steps=20, epochs=1, **options):
    config = OptimConfig(lr=2.0, schedule=schedule, schedule_options=options)
    optimizer = create_optimizer(config, weights())
    made = create_schedule(config, optimizer, steps, epochs)
    found = []
    for _ in range(steps):
        found += made.get_last_lr()
        optimizer.step()
        made.step()
    return found


def test_the_optimizers_are_what_they_are_called():
    sgd = create_optimizer(OptimConfig("sgd", lr=0.1, weight_decay=0.2), weights())
    assert isinstance(sgd, torch.optim.SGD) and len(sgd.param_groups[0]["params"]) == 1  # what is frozen is left out
    assert {name: sgd.defaults[name] for name in ("lr", "momentum", "weight_decay")} == {
        "lr": 0.1,
        "momentum": 0.9,
        "weight_decay": 0.2,
    }
    adamw = create_optimizer(OptimConfig("adamw", options={"betas": [0.9, 0.95]}), weights())
    assert isinstance(adamw, torch.optim.AdamW)
    assert list(adamw.defaults["betas"]) == [0.9, 0.95] and adamw.defaults["eps"] == 1e-8


def test_the_schedules_are_relative_to_the_peak():
    assert rates("constant") == [2.0] * 20
    assert rates("step") == [2.0] * 14 + [0.2] * 6
    cosine = rates("cosine")
    assert cosine[:3] == [1.0, 2.0, 2.0] and cosine[11] == pytest.approx(1.0) and cosine[-1] < 0.02


@pytest.mark.parametrize(
    ("epochs", "torchs", "options"),
    [
        (200, lambda o: StepLR(o, 100, 0.1), {"milestones": [100]}),  # MMCosine's code
        (100, lambda o: StepLR(o, 70, 0.1), {"milestones": [70]}),  # OGM-GE's
        (60, lambda o: MultiStepLR(o, [10, 20, 30], 0.5), {"milestones": [10, 20, 30], "gamma": 0.5}),  # BMFN's
        (60, lambda o: MultiStepLR(o, [5, 20, 40], 0.5), {"milestones": [5, 20, 40], "gamma": 0.5}),
        (13, lambda o: MultiStepLR(o, [5, 20], 0.5), {"milestones": [5, 20], "gamma": 0.5}),  # one is not reached
    ],
)
def test_falls_of_released_code_are_torchs_own(epochs, torchs, options):
    optimizer = create_optimizer(OptimConfig(lr=2.0), weights())
    theirs, expected = torchs(optimizer), []
    for _ in range(epochs):
        expected += theirs.get_last_lr() * 7  # steps of an epoch
        optimizer.step()
        theirs.step()
    assert rates("step", 7 * epochs, epochs, **options) == pytest.approx(expected)


class Halved(Schedule):
    """Half the peak."""

    def __call__(self, step):
        return 0.5


def test_an_optimizer_and_a_schedule_of_ones_own():
    optimizer = create_optimizer(OptimConfig("torch.optim:RAdam", lr=0.3, options={"eps": 1e-6}), weights())
    assert isinstance(optimizer, torch.optim.RAdam)
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (0.3, 1e-4)
    assert rates(f"{__name__}:Halved") == [1.0] * 20


@pytest.mark.parametrize(
    ("optim", "message"),
    [
        ({"name": "adam"}, "No optimizer is called 'adam'. Did you mean 'adamw'"),
        ({"schedule": "cosin"}, "No schedule is called 'cosin'. Did you mean 'cosine'"),
        ({"name": "torch.nn:Linear"}, "torch.nn:Linear is no optimizer: it must be a subclass of torch.optim"),
        ({"schedule": "os:getpid"}, "os:getpid is no schedule: it must be a subclass of counterpoint.training.optim"),
        ({"options": {"momentum": 0.1}}, "Optimizer 'adamw' has no option 'momentum'"),
        ({"options": {"lr": 0.1}}, "optim.options has 'lr'; say optim.lr"),
        ({"schedule_options": {"gamma": 0.5}}, "Schedule 'cosine' has no option 'gamma'"),
        ({"schedule": "step", "schedule_options": {"gamma": 0}}, "optim.schedule_options.gamma is 0; it must be gr"),
        ({"schedule": "step", "schedule_options": {"milestones": [9, 3]}}, r"milestones is \[9, 3\]; they must be ep"),
        ({"schedule": "step", "schedule_options": {"milestones": [0]}}, r"milestones is \[0\]; they must be epochs fr"),
        (
            {"schedule": "step", "schedule_options": {"milestones": 3}},
            "milestones is 3; it must be list of int",
        ),
        (
            {"schedule": "step", "schedule_options": {"epochs": 3}},
            "has 'epochs'; leave it out",
        ),
        ({"name": "sgd", "options": {"momentum": "much"}}, "momentum is 'much'; it must be float"),
    ],
)
def test_names_and_options_are_told_before_anything_is_read(optim, message):
    with pytest.raises((ConfigError, UnknownNameError), match=message):
        check(from_dict(TrainConfig, {"optim": optim}))
