#!/usr/bin/env python3
"""Writes torchvision's networks at 224x224 as ONNX, with random weights: for latency only, nothing is downloaded.

usage: export.py OUT_DIR [NAME ...]      needs Debian's python3-torch, python3-torchvision and python3-onnx
"""
import os
import sys

import numpy
import torch
import torchvision

NETWORKS = ["mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0", "resnet50"]


def randomize(model):
    """Batch statistics as after training: layers keep their scale, so that no activation saturates or dies out."""
    for m in model.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.momentum = None
    model.train()
    for m in model.modules():
        if isinstance(m, (torch.nn.Dropout, torchvision.ops.StochasticDepth)):
            m.eval()
    with torch.no_grad():
        for _ in range(2):
            model(torch.randn(4, 3, 224, 224))
    return model.eval()


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    torch.manual_seed(1)
    numpy.save(os.path.join(out, "calibration.npy"), torch.randn(4, 3, 224, 224).numpy())
    for name in sys.argv[2:] or NETWORKS:
        path = os.path.join(out, name + ".onnx")
        model = randomize(getattr(torchvision.models, name)(weights=None))
        torch.onnx.export(model, torch.randn(1, 3, 224, 224), path, opset_version=13, input_names=["input"],
                          output_names=["output"],
                          dynamic_axes={"input": {0: "N"}, "output": {0: "N"}})
        print(path)


if __name__ == "__main__":
    main()
