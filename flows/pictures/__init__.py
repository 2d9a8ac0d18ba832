"""Pictures of trained runs: where heads look, beside bonds; which heads look along which kinds; learning curves.

Each file makes matplotlib figures from numbers; `page` puts them into one HTML file and beside it as SVG and PNG.
"""
