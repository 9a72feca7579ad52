"""What every command needs: settings, secrets, logs, Ctrl-C, the machine and the cluster. Open `config` first."""
