/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VMClock device whose page is guest memory at 128 MiB (a file the host shares),
 * and a Generic Event Device: a byte from the host on a spare UART (0x2e8, GSI 10)
 * becomes Notify(VCLK, 0x80), "the page has changed".
 */
DefinitionBlock ("vmclock.aml", "SSDT", 2, "VMTEST", "VMCLOCK", 1)
{
    Scope (\_SB)
    {
        Device (VCLK)
        {
            Name (_HID, "AMZNC10C")
            Name (_CID, "VMCLOCK")
            Name (_DDN, "VMCLOCK")
            Name (_STA, 0x0F)
            Name (_CRS, ResourceTemplate ()
            {
                QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadOnly,
                    0x0, 0x08000000, 0x08000FFF, 0x0, 0x1000)
            })
        }
#ifdef PTP
        /* The full page beside one that shows its marker only: its PTP clock is the host's time. */
        Device (VCL2)
        {
            Name (_HID, "AMZNC10C")
            Name (_CID, "VMCLOCK")
            Name (_DDN, "VMCLOCK")
            Name (_UID, 2)
            Name (_STA, 0x0F)
            Name (_CRS, ResourceTemplate ()
            {
                QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadOnly,
                    0x0, 0x08002000, 0x08002FFF, 0x0, 0x1000)
            })
        }
#endif
        Device (NTFY)
        {
            Name (_HID, "ACPI0013")
            Name (_UID, One)
            OperationRegion (UART, SystemIO, 0x02E8, 0x08)
            Field (UART, ByteAcc, NoLock, Preserve)
            {
                RBR, 8,
                IER, 8,
                IIR, 8,
                LCR, 8,
                MCR, 8,
                LSR, 8,
                MSR, 8
            }
            Name (_CRS, ResourceTemplate ()
            {
                Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 10 }
            })
            Method (_INI, 0, Serialized)
            {
                LCR = 0x03
                MCR = 0x08      /* OUT2: let the interrupt out */
                IER = 0x01      /* on received data */
            }
            Method (_EVT, 1, Serialized)
            {
                Local1 = 0
                While ((LSR & 0x01) && (Local1 < 32))
                {
                    Local0 = RBR
                    Local1++
                }
                Notify (\_SB.VCLK, 0x80)
            }
        }
    }
}
