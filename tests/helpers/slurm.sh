#!/usr/bin/env bash
# A real Slurm of one node on this machine, without systemd: `tests/helpers/slurm.sh FOLDER` starts it, with all that it writes
# but its configuration below FOLDER, and prints the ids of its processes. For tests on a machine of one's own, as root.
set -euo pipefail
folder=$(realpath -m "$1")
for each in munged slurmctld slurmd sinfo; do
    command -v "$each" >/dev/null || { echo "$each is missing: apt-get install slurm-wlm munge" >&2; exit 1; }
done
[ "$(id -u)" = 0 ] || { echo "starting Slurm takes root" >&2; exit 1; }
if [ "$(sinfo -h -o %T 2>/dev/null | head -1)" = idle ]; then exit 0; fi  # it runs already
mkdir -p "$folder"/{state,spool} /run/munge /etc/slurm
host=$(hostname -s)
cat >/etc/slurm/slurm.conf <<CONF
ClusterName=lrbench
SlurmctldHost=$host(127.0.0.1)
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmUser=root
ReturnToService=2
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
KillWait=2
MinJobAge=300
SchedulerParameters=sched_interval=2,bf_interval=2,defer
PreemptMode=REQUEUE
PreemptType=preempt/partition_prio
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(($(free -m | awk '/^Mem/ {print $2}') * 9 / 10)) State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
chown munge: /run/munge
[ -S /run/munge/munge.socket.2 ] && munge -n >/dev/null 2>&1 || runuser -u munge -- munged
slurmctld
slurmd
for _ in $(seq 60); do
    [ "$(sinfo -h -o %T 2>/dev/null | head -1)" = idle ] && [ -s "$folder/slurmd.pid" ] && break
    sleep 0.5
done
[ "$(sinfo -h -o %T)" = idle ] || { echo "Slurm started, but its node is $(sinfo -h -o %T)" >&2; tail -5 "$folder"/*.log >&2; exit 1; }
cat "$folder"/slurmctld.pid "$folder"/slurmd.pid
