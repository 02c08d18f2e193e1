"""The quick way to the loss on a CPU gives the loss of the plain way, and its gradients."""


def test_the_loss_at_the_answers_is_the_loss(tmp_path, models):
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from tuning import values

    from halueval.finetune.arguments import training_arguments
    from halueval.finetune.collate import Collator
    from halueval.finetune.library import recipe_from
    from halueval.finetune.trainers import CausalTrainer

    recipe = recipe_from(values(precision="float32"), None)
    model = AutoModelForCausalLM.from_pretrained(models("causal"))
    features = [
        {"input_ids": [1, 7, 8, 9, 10, 11], "labels": [-100, -100, -100, 9, 10, 11]},
        {"input_ids": [1, 12, 13, 14], "labels": [-100, -100, 13, 14]},
    ]
    trainer = CausalTrainer(
        model=model,
        args=training_arguments(recipe, tmp_path, "cpu", 0, 1),
        train_dataset=Dataset.from_list(features),
        data_collator=Collator(0),
        processing_class=AutoTokenizer.from_pretrained(models("causal")),
    )
    batch = Collator(0)(features)
    model.train()
    quick = trainer.loss_at_answers(model, batch, None)
    quick.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    taken = [(0, 2, 9), (0, 3, 10), (0, 4, 11), (1, 1, 13), (1, 2, 14)]
    plain = -sum(logits[row, at].log_softmax(-1)[token] for row, at, token in taken) / 5
    plain.backward()
    torch.testing.assert_close(quick, plain)
    for name, p in model.named_parameters():
        torch.testing.assert_close(gradients[name], p.grad)
