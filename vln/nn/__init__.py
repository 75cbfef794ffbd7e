"""Blocks of networks shared by agents, pre-training and image-text tasks."""
