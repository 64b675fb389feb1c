#!/usr/bin/env python3
"""Writes networks whose blocks end in Concat, as ONNX with random weights: a U-Net, the blocks and neck of a detector,
depthwise convolutions of several scales side by side,
and torchvision's GoogLeNet, DenseNet-121 and ShuffleNetV2. For latency only.

usage: concat.py OUT_DIR [NAME ...]      needs what export.py needs
"""
import os
import sys

import torch
import torchvision
from torch import nn

from export import randomize


def conv(c, k, size=3, stride=1, act=nn.ReLU):
    return nn.Sequential(nn.Conv2d(c, k, size, stride, size // 2, bias=False), nn.BatchNorm2d(k), act())


class UNet(nn.Module):
    def __init__(self, widths=(16, 32, 64, 128)):
        super().__init__()
        self.down = nn.ModuleList(
            nn.Sequential(conv(c, k), conv(k, k)) for c, k in zip((3,) + widths[:-1], widths))
        self.up = nn.ModuleList(
            nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), conv(k, c))
            for c, k in zip(widths[:-1], widths[1:]))
        self.join = nn.ModuleList(nn.Sequential(conv(2 * c, c), conv(c, c)) for c in widths[:-1])
        self.head = nn.Conv2d(widths[0], 2, 1)

    def forward(self, x):
        skips = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        for level in reversed(range(len(self.up))):
            x = self.join[level](torch.cat([self.up[level](x), skips[level]], 1))
        return self.head(x)


class Bottleneck(nn.Module):
    def __init__(self, c, add):
        super().__init__()
        self.body, self.add = nn.Sequential(conv(c, c, 1, act=nn.SiLU), conv(c, c, act=nn.SiLU)), add

    def forward(self, x):
        return x + self.body(x) if self.add else self.body(x)


class C3(nn.Module):
    def __init__(self, c, k, n=1, add=True):
        super().__init__()
        self.a = nn.Sequential(conv(c, k // 2, 1, act=nn.SiLU), *(Bottleneck(k // 2, add) for _ in range(n)))
        self.b, self.end = conv(c, k // 2, 1, act=nn.SiLU), conv(k, k, 1, act=nn.SiLU)

    def forward(self, x):
        return self.end(torch.cat([self.a(x), self.b(x)], 1))


class Detector(nn.Module):
    """Backbone, pyramid down and up again, one head for each of three resolutions."""

    def __init__(self, w=16):
        super().__init__()
        self.stem = nn.Sequential(conv(3, w, 3, 2, nn.SiLU), conv(w, 2 * w, 3, 2, nn.SiLU), C3(2 * w, 2 * w))
        self.c3 = nn.Sequential(conv(2 * w, 4 * w, 3, 2, nn.SiLU), C3(4 * w, 4 * w, 2))
        self.c4 = nn.Sequential(conv(4 * w, 8 * w, 3, 2, nn.SiLU), C3(8 * w, 8 * w, 3))
        self.c5 = nn.Sequential(conv(8 * w, 16 * w, 3, 2, nn.SiLU), C3(16 * w, 16 * w))
        self.reduce, self.pool = conv(16 * w, 8 * w, 1, act=nn.SiLU), nn.MaxPool2d(5, 1, 2)
        self.expand = conv(32 * w, 16 * w, 1, act=nn.SiLU)
        self.top5, self.top4 = conv(16 * w, 8 * w, 1, act=nn.SiLU), conv(8 * w, 4 * w, 1, act=nn.SiLU)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.p4, self.p3 = C3(16 * w, 8 * w, 1, False), C3(8 * w, 4 * w, 1, False)
        self.down3, self.down4 = conv(4 * w, 4 * w, 3, 2, nn.SiLU), conv(8 * w, 8 * w, 3, 2, nn.SiLU)
        self.n4, self.n5 = C3(8 * w, 8 * w, 1, False), C3(16 * w, 16 * w, 1, False)
        self.heads = nn.ModuleList(nn.Conv2d(c * w, 18, 1) for c in (4, 8, 16))

    def forward(self, x):
        c3 = self.c3(self.stem(x))
        c4 = self.c4(c3)
        y = [self.reduce(self.c5(c4))]
        for _ in range(3):
            y.append(self.pool(y[-1]))
        c5 = self.expand(torch.cat(y, 1))
        t5 = self.top5(c5)
        t4 = self.top4(self.p4(torch.cat([self.up(t5), c4], 1)))
        n3 = self.p3(torch.cat([self.up(t4), c3], 1))
        n4 = self.n4(torch.cat([self.down3(n3), t4], 1))
        n5 = self.n5(torch.cat([self.down4(n4), t5], 1))
        return tuple(head(n) for head, n in zip(self.heads, (n3, n4, n5)))


class Scales(nn.Module):
    """Blocks that look at several scales by depthwise convolutions of one tensor, with a gate and a sum beside them."""

    class Block(nn.Module):
        def __init__(self, c):
            super().__init__()
            self.expand, self.project = conv(c, c, 1, act=nn.SiLU), conv(4 * c, c, 1)
            self.deep = nn.ModuleList(nn.Conv2d(c, c, size, 1, size // 2, groups=c) for size in (3, 5, 7))
            self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, c, 1), nn.Sigmoid())

        def forward(self, x):
            y = self.expand(x)
            a, b, c = (nn.functional.hardswish(layer(y)) for layer in self.deep)
            return self.project(torch.cat([a, b, c + y, y * self.gate(y)], 1))

    def __init__(self, widths=(24, 48, 96)):
        super().__init__()
        self.body = nn.Sequential(*(
            nn.Sequential(conv(c, k, 3, 2), self.Block(k), self.Block(k)) for c, k in zip((3,) + widths[:-1], widths)))
        self.head = nn.Linear(widths[-1], 10)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


OWN = {"unet": UNet, "detector": Detector, "scales": Scales}
NETWORKS = list(OWN) + ["googlenet", "densenet121", "shufflenet_v2_x1_0"]


def main():
    os.makedirs(sys.argv[1], exist_ok=True)
    torch.manual_seed(1)
    for name in sys.argv[2:] or NETWORKS:
        options = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
        model = OWN[name]() if name in OWN else getattr(torchvision.models, name)(weights=None, **options)
        path = os.path.join(sys.argv[1], name + ".onnx")
        outputs = ["output%d" % i for i in range(3)] if name == "detector" else ["output"]
        torch.onnx.export(randomize(model), torch.randn(1, 3, 224, 224), path, opset_version=13, input_names=["input"],
                          output_names=outputs, dynamic_axes={n: {0: "N"} for n in ["input"] + outputs})
        print(path)


if __name__ == "__main__":
    main()
