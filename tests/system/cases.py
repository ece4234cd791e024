# SPDX-License-Identifier: Apache-2.0
"""All cases, in the order they run: what a person does first, then what nobody should do."""
import case_balloon
import case_config
import case_debian
import case_devices
import case_disk
import case_firmware
import case_floppy
import case_hostile
import case_hpet
import case_hyperv
import case_i386
import case_ide
import case_isolation
import case_linux
import case_machine
import case_netboot
import case_network
import case_nics
import case_payloads
import case_reload
import case_sata
import case_screen
import case_smp
import case_systems
import case_uplink
import case_variables
import case_vga


def all_cases():
    modules = (case_linux, case_disk, case_sata, case_ide, case_floppy, case_network, case_nics, case_netboot, case_uplink, case_i386, case_firmware,
               case_variables, case_debian, case_balloon, case_screen, case_vga, case_payloads, case_devices, case_hostile,
               case_isolation, case_machine, case_smp, case_hyperv, case_hpet, case_reload, case_config,
               case_systems)
    return [case for module in modules for case in module.cases()]
