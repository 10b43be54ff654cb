#!/bin/sh
# adverts per second: adverts of `keepwatch graph vrrp`, from which this is made.
#
#   vrrp-adverts.sh [FILE] [OUT.svg|OUT.png] [SPAN]
set -eu
path=${1:-/var/lib/keepwatch/rrd/vrrp/VI_1.rrd}
out=${2:-vrrp-adverts.svg}
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
  'vrrp adverts per second' \
  '--vertical-label' \
  'adverts/s' \
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
  "DEF:v1=$file:adv_sent:AVERAGE" \
  'LINE1.5:v1#009E73:sent    ' \
  'VDEF:n2=v1,LAST' \
  'GPRINT:n2: last %7.2lf' \
  'VDEF:n3=v1,AVERAGE' \
  'GPRINT:n3: avg %7.2lf' \
  'VDEF:n4=v1,MAXIMUM' \
  'GPRINT:n4: max %7.2lf\l' \
  "DEF:v5=$file:adv_rcvd:AVERAGE" \
  'LINE1.5:v5#0072B2:received' \
  'VDEF:n6=v5,LAST' \
  'GPRINT:n6: last %7.2lf' \
  'VDEF:n7=v5,AVERAGE' \
  'GPRINT:n7: avg %7.2lf' \
  'VDEF:n8=v5,MAXIMUM' \
  'GPRINT:n8: max %7.2lf\l' \
  "DEF:v9=$file:adv_dropped:AVERAGE" \
  'LINE1.5:v9#D55E00:refused ' \
  'VDEF:n10=v9,LAST' \
  'GPRINT:n10: last %7.2lf' \
  'VDEF:n11=v9,AVERAGE' \
  'GPRINT:n11: avg %7.2lf' \
  'VDEF:n12=v9,MAXIMUM' \
  'GPRINT:n12: max %7.2lf\l'
