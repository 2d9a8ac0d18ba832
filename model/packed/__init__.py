"""Many small models trained side by side on one device: data that stays there, steps without the host, lanes."""
