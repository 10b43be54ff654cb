#!/bin/sh
# duration of checks: check of `keepwatch graph rs`, from which this is made.
#
#   rs-check.sh [FILE] [OUT.svg|OUT.png] [SPAN]
set -eu
path=${1:-/var/lib/keepwatch/rrd/rs/tcp-192.0.2.10%3A80/10.0.0.1%3A80.rrd}
out=${2:-rs-check.svg}
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
  'rs duration of checks' \
  '--vertical-label' \
  'seconds' \
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
  "DEF:v1=$file:check_ms:AVERAGE" \
  'CDEF:c2=v1,1000,/' \
  'CDEF:c3=v1,1000,/' \
  'AREA:c2#56B4E990' \
  'LINE1.5:c2#0072B2:last check' \
  'VDEF:n4=c2,LAST' \
  'GPRINT:n4: last %7.2lf %ss' \
  'VDEF:n5=c2,AVERAGE' \
  'GPRINT:n5: avg %7.2lf %ss' \
  'VDEF:n6=c3,MAXIMUM' \
  'GPRINT:n6: max %7.2lf %ss\l' \
  "DEF:v7=$file:up:AVERAGE" \
  'CDEF:c8=v7,0.5,LT,INF,UNKN,IF' \
  'AREA:c8#D55E0040:down' \
  'CDEF:c9=1,v7,-,100,*' \
  'VDEF:n10=c9,AVERAGE' \
  'GPRINT:n10: %5.1lf %% of the time\l'
