"""The pure core: decides, and knows no clock, no I/O and no asyncio; `now` is an argument."""
