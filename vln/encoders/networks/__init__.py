"""Tensors -> networks at any picture size, built with open_clip and timm."""
