#!/bin/sh
# largest delays: delays of `keepwatch graph daemon`, from which this is made.
#
#   daemon-delays.sh [FILE] [OUT.svg|OUT.png] [SPAN]
set -eu
path=${1:-/var/lib/keepwatch/rrd/daemon.rrd}
out=${2:-daemon-delays.svg}
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
  'daemon largest delays' \
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
  "DEF:v1=$file:adv_delay_max_ms:AVERAGE" \
  'CDEF:c2=v1,1000,/' \
  'CDEF:c3=v1,1000,/' \
  'LINE1.5:c3#D55E00:advert sent late ' \
  'VDEF:n4=c2,LAST' \
  'GPRINT:n4: last %7.2lf %ss' \
  'VDEF:n5=c2,AVERAGE' \
  'GPRINT:n5: avg %7.2lf %ss' \
  'VDEF:n6=c3,MAXIMUM' \
  'GPRINT:n6: max %7.2lf %ss\l' \
  "DEF:v7=$file:loop_lag_max_ms:AVERAGE" \
  'CDEF:c8=v7,1000,/' \
  'CDEF:c9=v7,1000,/' \
  'LINE1.5:c9#0072B2:event loop behind' \
  'VDEF:n10=c8,LAST' \
  'GPRINT:n10: last %7.2lf %ss' \
  'VDEF:n11=c8,AVERAGE' \
  'GPRINT:n11: avg %7.2lf %ss' \
  'VDEF:n12=c9,MAXIMUM' \
  'GPRINT:n12: max %7.2lf %ss\l' \
  "DEF:v13=$file:agentx_up:AVERAGE" \
  'CDEF:c14=v13,0.5,LT,INF,UNKN,IF' \
  'AREA:c14#99999930:no AgentX session' \
  'CDEF:c15=1,v13,-,100,*' \
  'VDEF:n16=c15,AVERAGE' \
  'GPRINT:n16: %5.1lf %% of the time\l'
