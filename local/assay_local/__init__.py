"""The cloud on a laptop: the template that deploys is the template that runs."""
