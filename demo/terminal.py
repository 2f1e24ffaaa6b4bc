# SPDX-License-Identifier: GPL-2.0-only
"""The screen of a terminal, as tests/tool/screen prints it, as a picture."""

from html import escape
from itertools import groupby

from lib import Failure

WIDTH, HEIGHT, EDGE = 8.4, 18, 12	# of a character, of a line; around all, in pixels
PAPER, INK, STRONG = "#1b1f24", "#d0d7de", "#ffffff"


def parse(lines):
	"""(command, lines of text, lines of styles): what is empty at the end is gone."""
	command, rest = lines[0], lines[1:]
	text = [l[1:] for l in rest if l.startswith("|")]
	styles = [l[1:] for l in rest if l.startswith("~")]
	while text and not text[-1].strip():
		text.pop()
	if not text or len(styles) < len(text) or not command.startswith("# "):
		raise Failure("no screen to make a picture of")
	return command, [l.rstrip() for l in text], styles[:len(text)]


def runs(line, style):
	"""(column, text, style) of each stretch in one style."""
	column = 0
	for look, stretch in groupby(style):
		length = len(list(stretch))
		yield column, line[column:column + length], look
		column += length


def svg(command, text, styles):
	columns = max(len(s) for s in styles)
	text, styles = [command] + text, ["b" * len(command)] + styles
	width = round(columns * WIDTH + 2 * EDGE)
	height = len(text) * HEIGHT + 2 * EDGE
	out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
	       f'viewBox="0 0 {width} {height}">',
	       f'<rect width="{width}" height="{height}" rx="8" fill="{PAPER}"/>',
	       '<g font-family="ui-monospace,Menlo,Consolas,\'DejaVu Sans Mono\',monospace" '
	       'font-size="14" xml:space="preserve">']
	for row, (line, style) in enumerate(zip(text, styles)):
		top = EDGE + row * HEIGHT
		for column, part, look in runs(line.ljust(len(style)), style):
			x = EDGE + column * WIDTH
			ink = INK
			if look == "r":
				out.append(f'<rect x="{x:.1f}" y="{top}" width="{len(part) * WIDTH:.1f}" '
					   f'height="{HEIGHT}" fill="{INK}"/>')
				ink = PAPER
			elif look == "b":
				ink = STRONG
			# Each word where it belongs, whatever font is there.
			at = 0
			for word in part.split(" "):
				if word:
					out.append(f'<text x="{x + at * WIDTH:.1f}" y="{top + 13}" '
						   f'textLength="{len(word) * WIDTH:.1f}" '
						   'lengthAdjust="spacingAndGlyphs" '
						   f'fill="{ink}">{escape(word)}</text>')
				at += len(word) + 1
	return "\n".join(out + ["</g>", "</svg>"]) + "\n"
