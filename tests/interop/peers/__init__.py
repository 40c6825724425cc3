"""What the peers_*.py scripts share: where they work, images, and the root filesystems that each program makes of them."""
