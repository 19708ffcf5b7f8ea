# SPDX-License-Identifier: BSD-2-Clause
# fish completion for vmclockctl(8) and vmclockd(8)

complete -c vmclockd -s c -l config -r -d 'the configuration'
complete -c vmclockd -s t -l test-config -d 'check it, and print what is in force'
complete -c vmclockd -s n -l dry-run -d 'send chronyd nothing'
complete -c vmclockd -s v -l verbose -d 'debug messages'
complete -c vmclockd -s h -l help -d 'print the options'
complete -c vmclockd -s V -l version -d 'print the version'

complete -c vmclockctl -s c -l config -r -d 'the configuration of the vmclockd in question'
complete -c vmclockctl -s j -l json -d 'print JSON'
complete -c vmclockctl -s w -l watch -d 'show the status again and again'
complete -c vmclockctl -l wait -d 'until the recovery has ended'
complete -c vmclockctl -l no-color -d 'print no colours'
complete -c vmclockctl -s h -l help -d 'print the options and commands'
complete -c vmclockctl -s V -l version -d 'print the version'
set -l commands status page watch wait metrics recover history now doctor
complete -c vmclockctl -n "not __fish_seen_subcommand_from $commands" -f -a "$commands"
