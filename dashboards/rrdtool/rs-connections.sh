#!/bin/sh
# connections per second: connections of `keepwatch graph rs`, from which this is made.
#
#   rs-connections.sh [FILE] [OUT.svg|OUT.png] [SPAN]
set -eu
path=${1:-/var/lib/keepwatch/rrd/rs/tcp-192.0.2.10%3A80/10.0.0.1%3A80.rrd}
out=${2:-rs-connections.svg}
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
  'rs connections per second' \
  '--vertical-label' \
  'connections/s' \
  '--base' \
  '1000' \
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
  "DEF:v1=$file:conns:AVERAGE" \
  'AREA:v1#56B4E990' \
  'LINE1.5:v1#0072B2:connections' \
  'VDEF:n2=v1,LAST' \
  'GPRINT:n2: last %7.2lf %s' \
  'VDEF:n3=v1,AVERAGE' \
  'GPRINT:n3: avg %7.2lf %s' \
  'VDEF:n4=v1,MAXIMUM' \
  'GPRINT:n4: max %7.2lf %s\l' \
  "DEF:v5=$file:up:AVERAGE" \
  'CDEF:c6=v5,0.5,LT,INF,UNKN,IF' \
  'AREA:c6#D55E0040:down' \
  'CDEF:c7=1,v5,-,100,*' \
  'VDEF:n8=c7,AVERAGE' \
  'GPRINT:n8: %5.1lf %% of the time\l'
