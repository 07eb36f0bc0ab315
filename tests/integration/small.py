"""Overrides that make a run small enough for tests: every stage in seconds."""

SMALL = (
    "data.phantoms.train=48", "data.phantoms.validation=8", "data.phantoms.test=12", "data.phantoms.size=32",
    "engine.workers=1", "model.tiny.image_size=32", "model.tiny.patch_size=8", "model.tiny.hidden_size=32",
    "model.tiny.vision_layers=1", "model.tiny.language_layers=1", "model.tiny.vocabulary=400",
    "model.tiny.max_positions=512", "sft.epochs=2", "sft.batch_size=8", "sft.learning_rate=3e-3",
    "sft.evaluations=2", "explore.generation.max_new_tokens=24", "explore.generation.batch_size=4",
    "evaluate.generation.max_new_tokens=24", "evaluate.generation.batch_size=4",
    "evaluate.bootstrap_samples=100",
)  # fmt: skip
