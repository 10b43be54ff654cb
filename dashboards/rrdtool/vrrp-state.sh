#!/bin/sh
# state and priority: state of `keepwatch graph vrrp`, from which this is made.
#
#   vrrp-state.sh [FILE] [OUT.svg|OUT.png] [SPAN]
set -eu
path=${1:-/var/lib/keepwatch/rrd/vrrp/VI_1.rrd}
out=${2:-vrrp-state.svg}
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
  'vrrp state and priority' \
  '--vertical-label' \
  'priority' \
  '--base' \
  '1000' \
  '--lower-limit' \
  '0' \
  '--upper-limit' \
  '255' \
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
  '--rigid' \
  "DEF:v1=$file:state:AVERAGE" \
  "DEF:v2=$file:master:AVERAGE" \
  "DEF:v3=$file:priority:AVERAGE" \
  'CDEF:c4=v1,UN,UNKN,v2,0.5,GE,IF' \
  'CDEF:c5=c4,INF,UNKN,IF' \
  'AREA:c5#009E7380:master  ' \
  'CDEF:c6=v2,100,*' \
  'VDEF:n7=c6,AVERAGE' \
  'GPRINT:n7: %5.1lf %% of the time\l' \
  'CDEF:c8=v1,UN,UNKN,v2,0.5,LT,v1,0.5,GE,*,v1,2,LT,*,IF' \
  'CDEF:c9=c8,INF,UNKN,IF' \
  'AREA:c9#56B4E980:backup  ' \
  'CDEF:c10=c8,100,*' \
  'VDEF:n11=c10,AVERAGE' \
  'GPRINT:n11: %5.1lf %% of the time\l' \
  'CDEF:c12=v1,UN,UNKN,v2,0.5,LT,v1,2,GE,*,v1,5,LT,*,IF' \
  'CDEF:c13=c12,INF,UNKN,IF' \
  'AREA:c13#D55E0080:fault   ' \
  'CDEF:c14=c12,100,*' \
  'VDEF:n15=c14,AVERAGE' \
  'GPRINT:n15: %5.1lf %% of the time\l' \
  'CDEF:c16=v1,UN,UNKN,v2,0.5,LT,v1,0,GE,*,v1,0.5,LT,*,IF' \
  'CDEF:c17=c16,INF,UNKN,IF' \
  'AREA:c17#99999980:init    ' \
  'CDEF:c18=c16,100,*' \
  'VDEF:n19=c18,AVERAGE' \
  'GPRINT:n19: %5.1lf %% of the time\l' \
  'LINE2:v3#1F2328:priority' \
  'VDEF:n20=v3,LAST' \
  'GPRINT:n20: last %4.0lf' \
  'VDEF:n21=v3,AVERAGE' \
  'GPRINT:n21: avg %4.0lf' \
  'VDEF:n22=v3,MAXIMUM' \
  'GPRINT:n22: max %4.0lf\l'
