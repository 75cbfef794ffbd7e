"""What is seen of a home: rasteriser, textures, baked light, skyboxes."""
