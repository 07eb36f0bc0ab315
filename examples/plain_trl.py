"""The hierarchical reward in plain TRL, without anything else of radflow: GRPO on a tiny text model"""

from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

from radflow.rewards.hierarchical import HierarchicalReward

prompts = ["left effusion", "normal"]
references = [
    "FINDINGS: Small left effusion.\nIMPRESSION: Small left effusion.",
    "FINDINGS: Lungs are clear.\nIMPRESSION: Normal chest.",
]
words = sorted({word for text in prompts + references for word in text.replace(".", " .").split()})
vocabulary = {word: number for number, word in enumerate(["<end>", "<pad>", *words])}
raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<end>", pad_token="<pad>")
size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
model = LlamaForCausalLM(LlamaConfig(vocab_size=len(vocabulary), eos_token_id=0, pad_token_id=1, **size))

data = Dataset.from_dict({"prompt": prompts, "reference": references, "study_id": ["a", "b"]})
where = {"use_cpu": True, "bf16": False, "report_to": "none", "save_strategy": "no"}
batch = {"per_device_train_batch_size": 8, "num_generations": 4, "max_completion_length": 12}
settings = GRPOConfig("plain-trl", max_steps=3, logging_steps=1, **batch, **where)
trainer = GRPOTrainer(model, HierarchicalReward(), settings, data, processing_class=tokenizer)
trainer.train()
