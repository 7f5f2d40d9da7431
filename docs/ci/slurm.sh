#!/bin/bash
# Copy into the project. One part of a run on each GPU, and once all are made, the whole and its gate:
#
#   parts=$(sbatch --parsable slurm.sh)
#   sbatch --dependency=afterok:$parts --wrap "harness merge parts/* --out reports/candidate &&
#     harness gate reports/candidate --baseline shipped --policy gate.toml"
#
# A part that ran out of time goes on where it was: sbatch --array=7 slurm.sh. Slurm then says that
# it is the only one, so the script says itself of how many it is a part.
#SBATCH --job-name=harness
#SBATCH --array=1-8
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=4
#SBATCH --time=02:00:00
#SBATCH --signal=B:INT@60
PARTS=8
HARNESS_SHARD="$SLURM_ARRAY_TASK_ID/$PARTS" exec harness run tool-routing --checkpoint ./candidate \
    --shard auto --out "parts/$SLURM_ARRAY_TASK_ID" --resume --quiet
