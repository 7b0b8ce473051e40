"""Folders of images: `folder.describe_folder` finds classes and splits, `cache.cached_images` decodes."""
