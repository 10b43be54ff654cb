#!/bin/sh
# Connections per second of a virtual server, stacked by real server: the picture that was drawn with rrdtool and
# Keepalived's SNMP support when that was new.
#
#   vs-connections.sh [DIRECTORY] [PROTO-VS] [OUT.svg|OUT.png] [SPAN]
#   vs-connections.sh /var/lib/keepwatch/rrd tcp-192.0.2.10%3A80 connections.svg 1d
#
# Names are those of the files below vs/; names.tsv says whose they are. `keepwatch graph vs` draws the same, with the
# eleven largest real servers.
set -eu
directory=${1:-/var/lib/keepwatch/rrd}
service=${2:-$(ls "$directory/vs" | sed -n '1s/\.rrd$//p')}
out=${3:-connections.svg}
span=${4:-1d}
# A colon ends a path or a legend unless there is a backslash before it.
escaped() { printf '%s' "$1" | sed 's/[\\:]/\\&/g'; }
name() { printf '%s' "$1" | sed 's/%3A/:/g; s/%5B/[/g; s/%5D/]/g; s/%2F/\//g'; }

format=$(printf '%s' "${out##*.}" | tr '[:lower:]' '[:upper:]')
set -- --imgformat "$format" --start "end-$span" --end now --full-size-mode --width 800 --height 300 --slope-mode \
  --title "$(name "$service"): connections per second" --vertical-label connections/s --lower-limit 0 --border 0 \
  "DEF:all=$(escaped "$directory/vs/$service.rrd"):conns:AVERAGE"
number=0
for file in "$directory/rs/$service"/*.rrd; do
  [ -e "$file" ] || continue
  color=$(echo 0072B2 E69F00 009E73 56B4E9 D55E00 F0E442 882255 44AA99 332288 DDCC77 CC79A7 999999 | cut -d' ' -f$((number % 12 + 1)))
  legend=$(name "$(basename "$file" .rrd)")
  stack=:STACK
  [ "$number" -gt 0 ] || stack=
  # A server that was not there yet does not hide the others.
  set -- "$@" "DEF:r$number=$(escaped "$file"):conns:AVERAGE" \
    "CDEF:s$number=r$number,UN,all,UN,UNKN,0,IF,r$number,IF" \
    "AREA:s$number#$color:$(escaped "$(printf '%-24s' "$legend")")$stack" \
    "GPRINT:r$number:LAST:last %7.2lf %s" "GPRINT:r$number:AVERAGE:avg %7.2lf %s" "GPRINT:r$number:MAX:max %7.2lf %s\\l"
  number=$((number + 1))
done
set -- "$@" "LINE1:all#1F2328:$(printf '%-24s' 'all together')" \
  'GPRINT:all:LAST:last %7.2lf %s' 'GPRINT:all:AVERAGE:avg %7.2lf %s' 'GPRINT:all:MAX:max %7.2lf %s\l'
exec rrdtool graph "$out" "$@"
