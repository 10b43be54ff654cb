#!/bin/sh
# memory: memory of `keepwatch graph daemon`, from which this is made.
#
#   daemon-memory.sh [FILE] [OUT.svg|OUT.png] [SPAN]
set -eu
path=${1:-/var/lib/keepwatch/rrd/daemon.rrd}
out=${2:-daemon-memory.svg}
span=${3:-1d}
# A colon ends a path unless there is a backslash before it.
file=$(printf '%s' "$path" | sed 's/[\\:]/\\&/g')
format=$(printf '%s' "${out##*.}" | tr '[:lower:]' '[:upper:]')
exec rrdtool graph "$out" --imgformat "$format" --start "end-$span" --end now \
  '--full-size-mode' \
  '--slope-mode' \
  '--width' \
  '800' \
  '--height' \
  '300' \
  '--title' \
  'daemon memory' \
  '--vertical-label' \
  'bytes' \
  '--base' \
  '1024' \
  '--lower-limit' \
  '0' \
  '--color' \
  'BACK#FFFFFF' \
  '--color' \
  'CANVAS#FFFFFF' \
  '--color' \
  'SHADEA#FFFFFF' \
  '--color' \
  'SHADEB#FFFFFF' \
  '--color' \
  'GRID#DFE3E8' \
  '--color' \
  'MGRID#B4BAC2' \
  '--color' \
  'FONT#1F2328' \
  '--color' \
  'AXIS#6B7480' \
  '--color' \
  'ARROW#6B7480' \
  '--border' \
  '0' \
  "DEF:v1=$file:rss_bytes:AVERAGE" \
  'AREA:v1#56B4E990' \
  'LINE1.5:v1#0072B2:resident, all processes' \
  'VDEF:n2=v1,LAST' \
  'GPRINT:n2: last %7.2lf %sB' \
  'VDEF:n3=v1,AVERAGE' \
  'GPRINT:n3: avg %7.2lf %sB' \
  'VDEF:n4=v1,MAXIMUM' \
  'GPRINT:n4: max %7.2lf %sB\l'
