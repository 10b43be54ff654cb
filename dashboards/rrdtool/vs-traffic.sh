#!/bin/sh
# traffic: traffic of `keepwatch graph vs`, from which this is made.
#
#   vs-traffic.sh [FILE] [OUT.svg|OUT.png] [SPAN]
set -eu
path=${1:-/var/lib/keepwatch/rrd/vs/tcp-192.0.2.10%3A80.rrd}
out=${2:-vs-traffic.svg}
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
  'vs traffic' \
  '--vertical-label' \
  'bits/s' \
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
  "DEF:v1=$file:in_bytes:AVERAGE" \
  'CDEF:c2=v1,8,*' \
  'CDEF:c3=v1,8,*' \
  'AREA:c2#009E7370' \
  'LINE1.5:c2#009E73:in ' \
  'VDEF:n4=c2,LAST' \
  'GPRINT:n4: last %7.2lf %sb/s' \
  'VDEF:n5=c2,AVERAGE' \
  'GPRINT:n5: avg %7.2lf %sb/s' \
  'VDEF:n6=c3,MAXIMUM' \
  'GPRINT:n6: max %7.2lf %sb/s\l' \
  "DEF:v7=$file:out_bytes:AVERAGE" \
  'CDEF:c8=v7,8,*' \
  'CDEF:c9=v7,8,*' \
  'LINE1.5:c8#0072B2:out' \
  'VDEF:n10=c8,LAST' \
  'GPRINT:n10: last %7.2lf %sb/s' \
  'VDEF:n11=c8,AVERAGE' \
  'GPRINT:n11: avg %7.2lf %sb/s' \
  'VDEF:n12=c9,MAXIMUM' \
  'GPRINT:n12: max %7.2lf %sb/s\l'
