# SPDX-License-Identifier: GPL-2.0-only
# data, out: from tests/67-server-day.t. Columns: seconds, phase, KiB of the
# slice, of redis-server, of the report.
set terminal svg size 800,360 font "sans-serif,12"
set output out
set xlabel "seconds"
set ylabel "page tables, KiB"
set logscale y 2
set yrange [64:*]
set key outside top center horizontal
set grid ytics lc rgb "#dddddd"
plot data using 1:3 with steps lw 2 lc rgb "#888888" title "shop.slice", \
	data using 1:4 with steps lw 2 lc rgb "#0b62a4" title "redis-server.service", \
	400 with lines dt 2 lc rgb "#0b62a4" title "its memory.pt.high", \
	data using 1:5 with steps lw 2 lc rgb "#c03030" title "shop-report.service", \
	4096 with lines dt 2 lc rgb "#c03030" title "its memory.pt.max"
