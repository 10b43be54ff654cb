#!/bin/sh
# open connections: open of `keepwatch graph rs`, from which this is made.
#
#   rs-open.sh [FILE] [OUT.svg|OUT.png] [SPAN]
set -eu
path=${1:-/var/lib/keepwatch/rrd/rs/tcp-192.0.2.10%3A80/10.0.0.1%3A80.rrd}
out=${2:-rs-open.svg}
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
  'rs open connections' \
  '--vertical-label' \
  'connections' \
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
  "DEF:v1=$file:active:AVERAGE" \
  'AREA:v1#0072B2:active    ' \
  'VDEF:n2=v1,LAST' \
  'GPRINT:n2: last %7.1lf %s' \
  'VDEF:n3=v1,AVERAGE' \
  'GPRINT:n3: avg %7.1lf %s' \
  'VDEF:n4=v1,MAXIMUM' \
  'GPRINT:n4: max %7.1lf %s\l' \
  "DEF:v5=$file:inactive:AVERAGE" \
  'AREA:v5#56B4E9:inactive  :STACK' \
  'VDEF:n6=v5,LAST' \
  'GPRINT:n6: last %7.1lf %s' \
  'VDEF:n7=v5,AVERAGE' \
  'GPRINT:n7: avg %7.1lf %s' \
  'VDEF:n8=v5,MAXIMUM' \
  'GPRINT:n8: max %7.1lf %s\l' \
  "DEF:v9=$file:persistent:AVERAGE" \
  'LINE1.5:v9#E69F00:persistent' \
  'VDEF:n10=v9,LAST' \
  'GPRINT:n10: last %7.1lf %s' \
  'VDEF:n11=v9,AVERAGE' \
  'GPRINT:n11: avg %7.1lf %s' \
  'VDEF:n12=v9,MAXIMUM' \
  'GPRINT:n12: max %7.1lf %s\l' \
  "DEF:v13=$file:up:AVERAGE" \
  'CDEF:c14=v13,0.5,LT,INF,UNKN,IF' \
  'AREA:c14#D55E0040:down      ' \
  'CDEF:c15=1,v13,-,100,*' \
  'VDEF:n16=c15,AVERAGE' \
  'GPRINT:n16: %5.1lf %% of the time\l'
