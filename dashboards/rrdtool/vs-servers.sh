#!/bin/sh
# real servers up and their weight: servers of `keepwatch graph vs`, from which this is made.
#
#   vs-servers.sh [FILE] [OUT.svg|OUT.png] [SPAN]
set -eu
path=${1:-/var/lib/keepwatch/rrd/vs/tcp-192.0.2.10%3A80.rrd}
out=${2:-vs-servers.svg}
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
  'vs real servers up and their weight' \
  '--vertical-label' \
  'real servers, weight' \
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
  "DEF:v1=$file:rs_up:AVERAGE" \
  "DEF:v2=$file:weight_up:AVERAGE" \
  "DEF:v3=$file:quorum_met:AVERAGE" \
  'AREA:v1#56B4E9A0:real servers up' \
  'VDEF:n4=v1,LAST' \
  'GPRINT:n4: last %7.1lf' \
  'VDEF:n5=v1,AVERAGE' \
  'GPRINT:n5: avg %7.1lf' \
  'VDEF:n6=v1,MAXIMUM' \
  'GPRINT:n6: max %7.1lf\l' \
  'CDEF:c7=v2,1,/' \
  'LINE1.5:c7#D55E00:their weight   ' \
  'VDEF:n8=v2,LAST' \
  'GPRINT:n8: last %7.1lf' \
  'VDEF:n9=v2,AVERAGE' \
  'GPRINT:n9: avg %7.1lf' \
  'VDEF:n10=v2,MAXIMUM' \
  'GPRINT:n10: max %7.1lf\l' \
  'CDEF:c11=v3,0.5,LT,INF,UNKN,IF' \
  'AREA:c11#D55E0040:no quorum      ' \
  'CDEF:c12=1,v3,-,100,*' \
  'VDEF:n13=c12,AVERAGE' \
  'GPRINT:n13: %5.1lf %% of the time\l'
