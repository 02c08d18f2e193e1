"""Losses of mitigations, against numbers worked by hand and formulas written another way."""

import math
from types import SimpleNamespace

import pytest
import torch

from halueval.finetune.arms import targets
from halueval.finetune.arms.adversarial import R3F, FreeLB, FreeLBSettings, R3FSettings, ascend
from halueval.finetune.arms.kl import KLSettings, KLToBase
from halueval.finetune.arms.neftune import Neftune, NoiseSettings, noise


class Bag(torch.nn.Module):
    """The smallest decoder: logits are the embeddings times a matrix; no context, so that gradients are known."""

    def __init__(self, embeddings, matrix):
        super().__init__()
        self.embedding = torch.nn.Embedding.from_pretrained(torch.tensor(embeddings), freeze=False)
        self.matrix = torch.nn.Parameter(torch.tensor(matrix))
        self.config = SimpleNamespace(is_encoder_decoder=False)
        self.seen = []

    def get_input_embeddings(self):
        return self.embedding

    def forward(self, input_ids, attention_mask=None, labels=None):
        found = self.embedding(input_ids)
        self.seen.append(found)
        return SimpleNamespace(logits=found @ self.matrix)


@pytest.fixture
def bag():
    return Bag([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0]], [[1.0, -1.0, 0.5], [0.5, 2.0, 0.0]]).train()


@pytest.fixture
def inputs():
    return {
        "input_ids": torch.tensor([[0, 1, 2], [2, 0, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0]]),
        "labels": torch.tensor([[-100, 1, 2], [-100, 0, -100]]),
    }


def kl(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def test_divergences_are_those_of_the_definition():
    # p = (.5, .5), q = (.8, .2): KL(p‖q) = .5 ln(.5/.8) + .5 ln(.5/.2) = .2231436, KL(q‖p) = .1927448.
    p, q = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(4.0), 0.0]])
    assert targets.divergence(p, q).item() == pytest.approx(0.22314355, abs=1e-7)
    assert targets.divergence(q, p).item() == pytest.approx(0.19274475, abs=1e-7)
    assert targets.divergence(torch.cat([p, p]), torch.cat([q, p])).item() == pytest.approx(0.22314355, abs=1e-7)


def test_logits_of_targets_are_those_of_the_position_before_in_decoders(inputs):
    logits = torch.arange(18.0).reshape(2, 3, 3)
    found, wanted = targets.target_logits(logits, inputs["labels"], shifted=True)
    assert wanted.tolist() == [1, 2, 0]
    assert found.tolist() == [[0, 1, 2], [3, 4, 5], [9, 10, 11]]
    found, wanted = targets.target_logits(logits, inputs["labels"], shifted=False)
    assert found.tolist() == [[3, 4, 5], [6, 7, 8], [12, 13, 14]]
    found, wanted = targets.target_logits(logits[:, 0], torch.tensor([2, 0]), shifted=False)
    assert (found.shape, wanted.tolist()) == ((2, 3), [2, 0])


def test_r3f_adds_the_symmetric_divergence_between_predictions_with_and_without_noise(bag, inputs):
    arm = R3F(R3FSettings(weight=2.0, scale=0.5))
    outputs = bag(**inputs)
    torch.manual_seed(3)
    found = arm.loss(bag, inputs, outputs, torch.tensor(1.0), num_items=None)
    torch.manual_seed(3)
    change = torch.empty(2, 3, 2).uniform_(-0.5, 0.5)
    assert torch.equal(bag.seen[1], bag.embedding(inputs["input_ids"]) + change)
    clean = (bag.embedding.weight[inputs["input_ids"]] @ bag.matrix).softmax(-1)
    noisy = ((bag.embedding.weight[inputs["input_ids"]] + change) @ bag.matrix).softmax(-1)
    pairs = [(clean[i, j].tolist(), noisy[i, j].tolist()) for i, j in ((0, 0), (0, 1), (1, 0))]
    expected = 1 + 2 * sum(kl(p, q) + kl(q, p) for p, q in pairs) / 3
    assert found.item() == pytest.approx(expected, abs=1e-5)
    torch.manual_seed(3)
    halved = arm.loss(bag, inputs, bag(**inputs), torch.tensor(1.0), num_items=torch.tensor(6))
    assert halved.item() - 1 == pytest.approx((expected - 1) / 2, abs=1e-5)


def test_one_ascent_of_freelb_is_the_one_of_the_algorithm():
    # g = (3, 4), ‖g‖ = 5, α = 1: δ = (.6, .8) + (0, 0); a ball of .5 brings it to (.3, .4).
    delta, gradient = torch.zeros(1, 1, 2), torch.tensor([[[3.0, 4.0]]])
    assert ascend(delta, gradient, 1.0, 10.0).flatten().tolist() == pytest.approx([0.6, 0.8])
    assert ascend(delta, gradient, 1.0, 0.5).flatten().tolist() == pytest.approx([0.3, 0.4])
    # Norms are those of a sequence: each of the two has its own.
    two = torch.tensor([[[3.0], [4.0]], [[0.0], [2.0]]])
    assert ascend(torch.zeros_like(two), two, 1.0, 10.0).flatten().tolist() == pytest.approx([0.6, 0.8, 0.0, 1.0])


def test_freelb_averages_the_losses_and_gradients_of_a_climb(bag, inputs):
    arm = FreeLB(FreeLBSettings(steps=3, step_size=0.2, radius=0.5))
    torch.manual_seed(5)
    found = arm.loss(bag, inputs, bag(**inputs), torch.tensor(9.0), num_items=None)
    found.backward()
    gradient = bag.matrix.grad.clone()

    # By hand: the gradient of a token's loss for its embedding is W (softmax - one-hot).
    torch.manual_seed(5)
    drawn = torch.empty(2, 3, 2).uniform_(-1, 1)
    delta = drawn * torch.tensor([0.5 / math.sqrt(6), 0.5 / math.sqrt(4)])[:, None, None]
    delta[1, 2] = 0  # padding
    ids, places = inputs["input_ids"], ((0, 0, 1), (0, 1, 2), (1, 0, 0))
    weight = bag.matrix.detach()
    losses, expected = [], torch.zeros_like(weight)
    for _ in range(3):
        x = bag.embedding.weight.detach()[ids] + delta
        probabilities = (x @ weight).softmax(-1)
        losses.append(sum(-math.log(probabilities[i, j, target]) for i, j, target in places) / 3)
        slope = torch.zeros_like(delta)
        for i, j, target in places:
            error = probabilities[i, j] - torch.eye(3)[target]
            slope[i, j] = weight @ error / 3
            expected += torch.outer(x[i, j], error) / 3 / 3
        for i in range(2):
            delta[i] += 0.2 * slope[i] / slope[i].norm()
            delta[i] *= min(1.0, 0.5 / delta[i].norm().item())
    assert losses[0] < losses[1] < losses[2]
    assert found.item() == pytest.approx(sum(losses) / 3, abs=1e-6)
    assert torch.allclose(gradient, expected, atol=1e-6)


def test_neftune_noise_is_bounded_by_the_sequences_own_length():
    mask = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0]])
    embeddings = torch.zeros(2, 4, 25)
    torch.manual_seed(0)
    drawn = torch.stack([noise(mask, embeddings, 5.0) for _ in range(200)])
    # α/√(L·d): 5/√100 = .5 and 5/√25 = 1; a uniform law's standard deviation is its bound over √3.
    assert drawn[:, 0].abs().max().item() == pytest.approx(0.5, abs=1e-3)
    assert drawn[:, 1, 0].abs().max().item() == pytest.approx(1.0, abs=2e-3)
    assert drawn[:, 0].std().item() == pytest.approx(0.5 / math.sqrt(3), rel=0.02)
    assert not drawn[:, 1, 1:].any()


def test_neftune_is_there_in_training_alone(bag, inputs):
    Neftune(NoiseSettings(alpha=5.0)).prepare_model(bag)
    bag(**inputs)
    bag.eval()(**inputs)
    noisy, plain = bag.seen
    assert torch.equal(plain, bag.embedding(inputs["input_ids"]))
    assert not torch.equal(noisy, plain)
    assert torch.equal(noisy[1, 2], plain[1, 2])


@pytest.mark.parametrize("direction", ["base-to-model", "model-to-base"])
def test_kl_to_the_base_is_the_mean_over_answer_tokens(bag, inputs, direction):
    arm = KLToBase(KLSettings(weight=0.5, direction=direction))
    arm.autocast = False
    arm.prepare_model(bag)
    before = (bag.embedding.weight[inputs["input_ids"]] @ bag.matrix).softmax(-1)
    same = arm.loss(bag, inputs, bag(**inputs), torch.tensor(1.0), num_items=None)
    assert same.item() == pytest.approx(1.0, abs=1e-6)
    with torch.no_grad():
        bag.matrix += torch.tensor([[0.3, -0.2, 0.1], [0.0, 0.4, -0.5]])
    after = (bag.embedding.weight[inputs["input_ids"]] @ bag.matrix).softmax(-1)
    pairs = [(before[i, j].tolist(), after[i, j].tolist()) for i, j in ((0, 0), (0, 1), (1, 0))]
    expected = sum(kl(p, q) if direction == "base-to-model" else kl(q, p) for p, q in pairs) / 3
    found = arm.loss(bag, inputs, bag(**inputs), torch.tensor(1.0), num_items=None)
    assert found.item() == pytest.approx(1 + 0.5 * expected, abs=1e-6)
    found.backward()
    assert all(p.grad is None for p in arm.base.parameters())


def test_with_adapters_the_base_is_the_same_weights_without_them(tmp_path):
    import small_models
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = small_models.save_causal(tmp_path / "base")
    small_models.save_adapter(base, tmp_path / "adapter", trained=True)
    plain = AutoModelForCausalLM.from_pretrained(base)
    adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path / "adapter").train()
    arm = KLToBase(KLSettings())
    arm.autocast = False
    arm.prepare_model(adapted)
    assert arm.base is None
    ids = torch.tensor([[5, 6, 7, 8]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.tensor([[-100, -100, 7, 8]])}
    outputs = adapted(input_ids=ids)
    found = arm.loss(adapted, inputs, outputs, torch.tensor(0.0), num_items=None)
    p, q = plain(input_ids=ids).logits[0, 1:3].softmax(-1), outputs.logits[0, 1:3].softmax(-1)
    expected = sum(kl(a.tolist(), b.tolist()) for a, b in zip(p, q, strict=True)) / 2
    assert expected > 0.01
    assert found.item() == pytest.approx(0.5 * expected, rel=1e-4)
    assert adapted.training
