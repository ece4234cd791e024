/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's DSDT: one PCI bus, the ISA devices behind its bridge, soft-off. Compiled by iasl to
 * build/gen/dsdt.c; guests/tables/acpi.c sets FLGS in its copy to say which optional devices this
 * guest has. Addresses are those of guests/layout.h (tests/unit/test_dsdt.c compares them).
 *
 * Revision 1 keeps integers at 32 bits, and there are no variable-length packages: systems from the
 * time before ACPI 2.0 stop at those. They stop at a 64-bit window, too, so PCI0 has its resources
 * twice, and shows those with the window only to an interpreter that says that it knows ACPI 2.0.
 * In the table itself a window is bytes of a buffer, which no system looks into.
 */
DefinitionBlock ("", "DSDT", 1, "BLKHD", "BULKHEAD", 1)
{
	/* Bit 0: COM1, bit 1: keyboard, bit 2: mouse, bit 3: 64-bit window, bit 4: HPET, bits 8 to 11
	 * and 12 to 15: types of the floppy drives. The initial value makes iasl use a DWord. */
	Name (FLGS, 0x12345678)

	/* 0: the system takes interrupts from the 8259s, else from APICs. */
	Name (PICF, 0)
	Method (\_PIC, 1, NotSerialized)
	{
		PICF = Arg0
	}

	/* SLP_TYPa, SLP_TYPb, two reserved. */
	Name (\_S0, Package () { 0, 0, 0, 0 })
	Name (\_S3, Package () { 1, 0, 0, 0 })
	Name (\_S5, Package () { 5, 0, 0, 0 })

	Scope (\_SB)
	{
		/* What the chipset decodes outside the PCI bus: ECAM, the PM block, fast reset, APM, and
		 * what firmware asks about the machine. */
		Device (MBRD)
		{
			Name (_HID, EisaId ("PNP0C02"))
			Name (_UID, 1)
			Name (_CRS, ResourceTemplate ()
			{
				Memory32Fixed (ReadWrite, 0xE0000000, 0x00100000)
				IO (Decode16, 0x0600, 0x0600, 0x01, 0x80)
				IO (Decode16, 0x0092, 0x0092, 0x01, 0x01)
				IO (Decode16, 0x00B2, 0x00B2, 0x01, 0x02)
				IO (Decode16, 0x0510, 0x0510, 0x01, 0x0C)
			})
		}

		Device (HPET)
		{
			Name (_HID, EisaId ("PNP0103"))
			Name (_UID, 0)
			Method (_STA, 0, NotSerialized)
			{
				If (FLGS & 0x10)
				{
					Return (0x0F)
				}
				Return (0x00)
			}
			Name (_CRS, ResourceTemplate ()
			{
				Memory32Fixed (ReadOnly, 0xFED00000, 0x00000400)
			})
		}

		/*
		 * The lines PIRQA to PIRQH, for systems that take interrupts from the 8259s: the bridge's
		 * routing registers. Others get no such devices, and never read the registers.
		 */
		Name (LPRS, ResourceTemplate ()
		{
			IRQ (Level, ActiveLow, Shared) { 5, 10, 11 }
		})

		/* Bit 7: the line goes nowhere. */
		Method (LSTA, 1, NotSerialized)
		{
			If (Arg0 & 0x80)
			{
				Return (0x09)
			}
			Return (0x0B)
		}

		Name (LBUF, ResourceTemplate ()
		{
			IRQ (Level, ActiveLow, Shared) { }
		})
		Method (LCRS, 1, Serialized)
		{
			CreateWordField (LBUF, 0x01, LMSK)
			LMSK = 0
			If ((Arg0 & 0x80) == 0)
			{
				LMSK = (1 << (Arg0 & 0x0F))
			}
			Return (LBUF)
		}

		/* The input that an IRQ descriptor names. */
		Method (LIRQ, 1, NotSerialized)
		{
			CreateWordField (Arg0, 0x01, LMSK)
			FindSetRightBit (LMSK, Local0)
			Local0--
			Return (Local0)
		}

		Device (LNKA)
		{
			Name (_HID, EisaId ("PNP0C0F"))
			Name (_UID, 1)
			Method (_STA, 0, NotSerialized) { If (PICF) { Return (0x00) } Return (LSTA (\_SB.PCI0.ISA.PRQA)) }
			Method (_DIS, 0, NotSerialized) { \_SB.PCI0.ISA.PRQA |= 0x80 }
			Method (_CRS, 0, NotSerialized) { Return (LCRS (\_SB.PCI0.ISA.PRQA)) }
			Method (_PRS, 0, NotSerialized) { Return (LPRS) }
			Method (_SRS, 1, NotSerialized) { \_SB.PCI0.ISA.PRQA = LIRQ (Arg0) }
		}

		Device (LNKB)
		{
			Name (_HID, EisaId ("PNP0C0F"))
			Name (_UID, 2)
			Method (_STA, 0, NotSerialized) { If (PICF) { Return (0x00) } Return (LSTA (\_SB.PCI0.ISA.PRQB)) }
			Method (_DIS, 0, NotSerialized) { \_SB.PCI0.ISA.PRQB |= 0x80 }
			Method (_CRS, 0, NotSerialized) { Return (LCRS (\_SB.PCI0.ISA.PRQB)) }
			Method (_PRS, 0, NotSerialized) { Return (LPRS) }
			Method (_SRS, 1, NotSerialized) { \_SB.PCI0.ISA.PRQB = LIRQ (Arg0) }
		}

		Device (LNKC)
		{
			Name (_HID, EisaId ("PNP0C0F"))
			Name (_UID, 3)
			Method (_STA, 0, NotSerialized) { If (PICF) { Return (0x00) } Return (LSTA (\_SB.PCI0.ISA.PRQC)) }
			Method (_DIS, 0, NotSerialized) { \_SB.PCI0.ISA.PRQC |= 0x80 }
			Method (_CRS, 0, NotSerialized) { Return (LCRS (\_SB.PCI0.ISA.PRQC)) }
			Method (_PRS, 0, NotSerialized) { Return (LPRS) }
			Method (_SRS, 1, NotSerialized) { \_SB.PCI0.ISA.PRQC = LIRQ (Arg0) }
		}

		Device (LNKD)
		{
			Name (_HID, EisaId ("PNP0C0F"))
			Name (_UID, 4)
			Method (_STA, 0, NotSerialized) { If (PICF) { Return (0x00) } Return (LSTA (\_SB.PCI0.ISA.PRQD)) }
			Method (_DIS, 0, NotSerialized) { \_SB.PCI0.ISA.PRQD |= 0x80 }
			Method (_CRS, 0, NotSerialized) { Return (LCRS (\_SB.PCI0.ISA.PRQD)) }
			Method (_PRS, 0, NotSerialized) { Return (LPRS) }
			Method (_SRS, 1, NotSerialized) { \_SB.PCI0.ISA.PRQD = LIRQ (Arg0) }
		}

		Device (LNKE)
		{
			Name (_HID, EisaId ("PNP0C0F"))
			Name (_UID, 5)
			Method (_STA, 0, NotSerialized) { If (PICF) { Return (0x00) } Return (LSTA (\_SB.PCI0.ISA.PRQE)) }
			Method (_DIS, 0, NotSerialized) { \_SB.PCI0.ISA.PRQE |= 0x80 }
			Method (_CRS, 0, NotSerialized) { Return (LCRS (\_SB.PCI0.ISA.PRQE)) }
			Method (_PRS, 0, NotSerialized) { Return (LPRS) }
			Method (_SRS, 1, NotSerialized) { \_SB.PCI0.ISA.PRQE = LIRQ (Arg0) }
		}

		Device (LNKF)
		{
			Name (_HID, EisaId ("PNP0C0F"))
			Name (_UID, 6)
			Method (_STA, 0, NotSerialized) { If (PICF) { Return (0x00) } Return (LSTA (\_SB.PCI0.ISA.PRQF)) }
			Method (_DIS, 0, NotSerialized) { \_SB.PCI0.ISA.PRQF |= 0x80 }
			Method (_CRS, 0, NotSerialized) { Return (LCRS (\_SB.PCI0.ISA.PRQF)) }
			Method (_PRS, 0, NotSerialized) { Return (LPRS) }
			Method (_SRS, 1, NotSerialized) { \_SB.PCI0.ISA.PRQF = LIRQ (Arg0) }
		}

		Device (LNKG)
		{
			Name (_HID, EisaId ("PNP0C0F"))
			Name (_UID, 7)
			Method (_STA, 0, NotSerialized) { If (PICF) { Return (0x00) } Return (LSTA (\_SB.PCI0.ISA.PRQG)) }
			Method (_DIS, 0, NotSerialized) { \_SB.PCI0.ISA.PRQG |= 0x80 }
			Method (_CRS, 0, NotSerialized) { Return (LCRS (\_SB.PCI0.ISA.PRQG)) }
			Method (_PRS, 0, NotSerialized) { Return (LPRS) }
			Method (_SRS, 1, NotSerialized) { \_SB.PCI0.ISA.PRQG = LIRQ (Arg0) }
		}

		Device (LNKH)
		{
			Name (_HID, EisaId ("PNP0C0F"))
			Name (_UID, 8)
			Method (_STA, 0, NotSerialized) { If (PICF) { Return (0x00) } Return (LSTA (\_SB.PCI0.ISA.PRQH)) }
			Method (_DIS, 0, NotSerialized) { \_SB.PCI0.ISA.PRQH |= 0x80 }
			Method (_CRS, 0, NotSerialized) { Return (LCRS (\_SB.PCI0.ISA.PRQH)) }
			Method (_PRS, 0, NotSerialized) { Return (LPRS) }
			Method (_SRS, 1, NotSerialized) { \_SB.PCI0.ISA.PRQH = LIRQ (Arg0) }
		}

		Device (PCI0)
		{
			Name (_HID, EisaId ("PNP0A08"))
			Name (_CID, EisaId ("PNP0A03"))
			Name (_UID, 0)
			Name (_SEG, 0)
			Name (_BBN, 0)
			Name (CR32, ResourceTemplate ()
			{
				WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
					0x0000, 0x0000, 0x0000, 0x0000, 0x0001)
				IO (Decode16, 0x0CF8, 0x0CF8, 0x01, 0x08)
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
					0x0000, 0x0000, 0x0CF7, 0x0000, 0x0CF8)
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
					0x0000, 0x0D00, 0xFFFF, 0x0000, 0xF300)
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable,
					ReadWrite, 0x00000000, 0x000A0000, 0x000BFFFF, 0x00000000, 0x00020000)
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable,
					ReadWrite, 0x00000000, 0xC0000000, 0xDFFFFFFF, 0x00000000, 0x20000000)
			})

			/* The same and the window above RAM, whose place is set in the guest's copy. */
			Name (CR64, ResourceTemplate ()
			{
				WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
					0x0000, 0x0000, 0x0000, 0x0000, 0x0001)
				IO (Decode16, 0x0CF8, 0x0CF8, 0x01, 0x08)
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
					0x0000, 0x0000, 0x0CF7, 0x0000, 0x0CF8)
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
					0x0000, 0x0D00, 0xFFFF, 0x0000, 0xF300)
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable,
					ReadWrite, 0x00000000, 0x000A0000, 0x000BFFFF, 0x00000000, 0x00020000)
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable,
					ReadWrite, 0x00000000, 0xC0000000, 0xDFFFFFFF, 0x00000000, 0x20000000)
				QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable,
					ReadWrite, 0x0000000000000000, 0x0000008000000000,
					0x0000008FFFFFFFFF, 0x0000000000000000, 0x0000001000000000)
			})

			Method (_CRS, 0, NotSerialized)
			{
				If (FLGS & 0x08)
				{
					If (_REV >= 2)
					{
						Return (CR64)
					}
				}
				Return (CR32)
			}

			/*
			 * Nothing here keeps a feature of PCI Express from the system: what it asks for it
			 * gets. Bit 3: unknown revision, bit 2: unknown UUID.
			 */
			Method (_OSC, 4, NotSerialized)
			{
				CreateDWordField (Arg3, 0x00, CDW1)
				If (Arg0 == ToUUID ("33db4d5b-1ff7-401c-9657-7441c03dd766"))
				{
					If (Arg1 != 1)
					{
						CDW1 |= 0x08
					}
					Return (Arg3)
				}
				CDW1 |= 0x04
				Return (Arg3)
			}

			Method (_PRT, 0, NotSerialized)
			{
				If (PICF)
				{
					Return (PRTA)
				}
				Return (PRTL)
			}

			/* Pin P of device D is line (D + P) mod 8, of devices from 25 on line P. */
			Name (PRTL, Package ()
			{
				Package () { 0x0001FFFF, 0, LNKB, 0 }, Package () { 0x0001FFFF, 1, LNKC, 0 },
				Package () { 0x0001FFFF, 2, LNKD, 0 }, Package () { 0x0001FFFF, 3, LNKE, 0 },
				Package () { 0x0002FFFF, 0, LNKC, 0 }, Package () { 0x0002FFFF, 1, LNKD, 0 },
				Package () { 0x0002FFFF, 2, LNKE, 0 }, Package () { 0x0002FFFF, 3, LNKF, 0 },
				Package () { 0x0003FFFF, 0, LNKD, 0 }, Package () { 0x0003FFFF, 1, LNKE, 0 },
				Package () { 0x0003FFFF, 2, LNKF, 0 }, Package () { 0x0003FFFF, 3, LNKG, 0 },
				Package () { 0x0004FFFF, 0, LNKE, 0 }, Package () { 0x0004FFFF, 1, LNKF, 0 },
				Package () { 0x0004FFFF, 2, LNKG, 0 }, Package () { 0x0004FFFF, 3, LNKH, 0 },
				Package () { 0x0005FFFF, 0, LNKF, 0 }, Package () { 0x0005FFFF, 1, LNKG, 0 },
				Package () { 0x0005FFFF, 2, LNKH, 0 }, Package () { 0x0005FFFF, 3, LNKA, 0 },
				Package () { 0x0006FFFF, 0, LNKG, 0 }, Package () { 0x0006FFFF, 1, LNKH, 0 },
				Package () { 0x0006FFFF, 2, LNKA, 0 }, Package () { 0x0006FFFF, 3, LNKB, 0 },
				Package () { 0x0007FFFF, 0, LNKH, 0 }, Package () { 0x0007FFFF, 1, LNKA, 0 },
				Package () { 0x0007FFFF, 2, LNKB, 0 }, Package () { 0x0007FFFF, 3, LNKC, 0 },
				Package () { 0x0008FFFF, 0, LNKA, 0 }, Package () { 0x0008FFFF, 1, LNKB, 0 },
				Package () { 0x0008FFFF, 2, LNKC, 0 }, Package () { 0x0008FFFF, 3, LNKD, 0 },
				Package () { 0x0009FFFF, 0, LNKB, 0 }, Package () { 0x0009FFFF, 1, LNKC, 0 },
				Package () { 0x0009FFFF, 2, LNKD, 0 }, Package () { 0x0009FFFF, 3, LNKE, 0 },
				Package () { 0x000AFFFF, 0, LNKC, 0 }, Package () { 0x000AFFFF, 1, LNKD, 0 },
				Package () { 0x000AFFFF, 2, LNKE, 0 }, Package () { 0x000AFFFF, 3, LNKF, 0 },
				Package () { 0x000BFFFF, 0, LNKD, 0 }, Package () { 0x000BFFFF, 1, LNKE, 0 },
				Package () { 0x000BFFFF, 2, LNKF, 0 }, Package () { 0x000BFFFF, 3, LNKG, 0 },
				Package () { 0x000CFFFF, 0, LNKE, 0 }, Package () { 0x000CFFFF, 1, LNKF, 0 },
				Package () { 0x000CFFFF, 2, LNKG, 0 }, Package () { 0x000CFFFF, 3, LNKH, 0 },
				Package () { 0x000DFFFF, 0, LNKF, 0 }, Package () { 0x000DFFFF, 1, LNKG, 0 },
				Package () { 0x000DFFFF, 2, LNKH, 0 }, Package () { 0x000DFFFF, 3, LNKA, 0 },
				Package () { 0x000EFFFF, 0, LNKG, 0 }, Package () { 0x000EFFFF, 1, LNKH, 0 },
				Package () { 0x000EFFFF, 2, LNKA, 0 }, Package () { 0x000EFFFF, 3, LNKB, 0 },
				Package () { 0x000FFFFF, 0, LNKH, 0 }, Package () { 0x000FFFFF, 1, LNKA, 0 },
				Package () { 0x000FFFFF, 2, LNKB, 0 }, Package () { 0x000FFFFF, 3, LNKC, 0 },
				Package () { 0x0010FFFF, 0, LNKA, 0 }, Package () { 0x0010FFFF, 1, LNKB, 0 },
				Package () { 0x0010FFFF, 2, LNKC, 0 }, Package () { 0x0010FFFF, 3, LNKD, 0 },
				Package () { 0x0011FFFF, 0, LNKB, 0 }, Package () { 0x0011FFFF, 1, LNKC, 0 },
				Package () { 0x0011FFFF, 2, LNKD, 0 }, Package () { 0x0011FFFF, 3, LNKE, 0 },
				Package () { 0x0012FFFF, 0, LNKC, 0 }, Package () { 0x0012FFFF, 1, LNKD, 0 },
				Package () { 0x0012FFFF, 2, LNKE, 0 }, Package () { 0x0012FFFF, 3, LNKF, 0 },
				Package () { 0x0013FFFF, 0, LNKD, 0 }, Package () { 0x0013FFFF, 1, LNKE, 0 },
				Package () { 0x0013FFFF, 2, LNKF, 0 }, Package () { 0x0013FFFF, 3, LNKG, 0 },
				Package () { 0x0014FFFF, 0, LNKE, 0 }, Package () { 0x0014FFFF, 1, LNKF, 0 },
				Package () { 0x0014FFFF, 2, LNKG, 0 }, Package () { 0x0014FFFF, 3, LNKH, 0 },
				Package () { 0x0015FFFF, 0, LNKF, 0 }, Package () { 0x0015FFFF, 1, LNKG, 0 },
				Package () { 0x0015FFFF, 2, LNKH, 0 }, Package () { 0x0015FFFF, 3, LNKA, 0 },
				Package () { 0x0016FFFF, 0, LNKG, 0 }, Package () { 0x0016FFFF, 1, LNKH, 0 },
				Package () { 0x0016FFFF, 2, LNKA, 0 }, Package () { 0x0016FFFF, 3, LNKB, 0 },
				Package () { 0x0017FFFF, 0, LNKH, 0 }, Package () { 0x0017FFFF, 1, LNKA, 0 },
				Package () { 0x0017FFFF, 2, LNKB, 0 }, Package () { 0x0017FFFF, 3, LNKC, 0 },
				Package () { 0x0018FFFF, 0, LNKA, 0 }, Package () { 0x0018FFFF, 1, LNKB, 0 },
				Package () { 0x0018FFFF, 2, LNKC, 0 }, Package () { 0x0018FFFF, 3, LNKD, 0 },
				Package () { 0x0019FFFF, 0, LNKA, 0 }, Package () { 0x0019FFFF, 1, LNKB, 0 },
				Package () { 0x0019FFFF, 2, LNKC, 0 }, Package () { 0x0019FFFF, 3, LNKD, 0 },
				Package () { 0x001AFFFF, 0, LNKA, 0 }, Package () { 0x001AFFFF, 1, LNKB, 0 },
				Package () { 0x001AFFFF, 2, LNKC, 0 }, Package () { 0x001AFFFF, 3, LNKD, 0 },
				Package () { 0x001BFFFF, 0, LNKA, 0 }, Package () { 0x001BFFFF, 1, LNKB, 0 },
				Package () { 0x001BFFFF, 2, LNKC, 0 }, Package () { 0x001BFFFF, 3, LNKD, 0 },
				Package () { 0x001CFFFF, 0, LNKA, 0 }, Package () { 0x001CFFFF, 1, LNKB, 0 },
				Package () { 0x001CFFFF, 2, LNKC, 0 }, Package () { 0x001CFFFF, 3, LNKD, 0 },
				Package () { 0x001DFFFF, 0, LNKA, 0 }, Package () { 0x001DFFFF, 1, LNKB, 0 },
				Package () { 0x001DFFFF, 2, LNKC, 0 }, Package () { 0x001DFFFF, 3, LNKD, 0 },
				Package () { 0x001EFFFF, 0, LNKA, 0 }, Package () { 0x001EFFFF, 1, LNKB, 0 },
				Package () { 0x001EFFFF, 2, LNKC, 0 }, Package () { 0x001EFFFF, 3, LNKD, 0 },
				Package () { 0x001FFFFF, 0, LNKA, 0 }, Package () { 0x001FFFFF, 1, LNKB, 0 },
				Package () { 0x001FFFFF, 2, LNKC, 0 }, Package () { 0x001FFFFF, 3, LNKD, 0 }
			})

			/* Line L is GSI 16 + L. */
			Name (PRTA, Package ()
			{
				Package () { 0x0001FFFF, 0, 0, 17 }, Package () { 0x0001FFFF, 1, 0, 18 },
				Package () { 0x0001FFFF, 2, 0, 19 }, Package () { 0x0001FFFF, 3, 0, 20 },
				Package () { 0x0002FFFF, 0, 0, 18 }, Package () { 0x0002FFFF, 1, 0, 19 },
				Package () { 0x0002FFFF, 2, 0, 20 }, Package () { 0x0002FFFF, 3, 0, 21 },
				Package () { 0x0003FFFF, 0, 0, 19 }, Package () { 0x0003FFFF, 1, 0, 20 },
				Package () { 0x0003FFFF, 2, 0, 21 }, Package () { 0x0003FFFF, 3, 0, 22 },
				Package () { 0x0004FFFF, 0, 0, 20 }, Package () { 0x0004FFFF, 1, 0, 21 },
				Package () { 0x0004FFFF, 2, 0, 22 }, Package () { 0x0004FFFF, 3, 0, 23 },
				Package () { 0x0005FFFF, 0, 0, 21 }, Package () { 0x0005FFFF, 1, 0, 22 },
				Package () { 0x0005FFFF, 2, 0, 23 }, Package () { 0x0005FFFF, 3, 0, 16 },
				Package () { 0x0006FFFF, 0, 0, 22 }, Package () { 0x0006FFFF, 1, 0, 23 },
				Package () { 0x0006FFFF, 2, 0, 16 }, Package () { 0x0006FFFF, 3, 0, 17 },
				Package () { 0x0007FFFF, 0, 0, 23 }, Package () { 0x0007FFFF, 1, 0, 16 },
				Package () { 0x0007FFFF, 2, 0, 17 }, Package () { 0x0007FFFF, 3, 0, 18 },
				Package () { 0x0008FFFF, 0, 0, 16 }, Package () { 0x0008FFFF, 1, 0, 17 },
				Package () { 0x0008FFFF, 2, 0, 18 }, Package () { 0x0008FFFF, 3, 0, 19 },
				Package () { 0x0009FFFF, 0, 0, 17 }, Package () { 0x0009FFFF, 1, 0, 18 },
				Package () { 0x0009FFFF, 2, 0, 19 }, Package () { 0x0009FFFF, 3, 0, 20 },
				Package () { 0x000AFFFF, 0, 0, 18 }, Package () { 0x000AFFFF, 1, 0, 19 },
				Package () { 0x000AFFFF, 2, 0, 20 }, Package () { 0x000AFFFF, 3, 0, 21 },
				Package () { 0x000BFFFF, 0, 0, 19 }, Package () { 0x000BFFFF, 1, 0, 20 },
				Package () { 0x000BFFFF, 2, 0, 21 }, Package () { 0x000BFFFF, 3, 0, 22 },
				Package () { 0x000CFFFF, 0, 0, 20 }, Package () { 0x000CFFFF, 1, 0, 21 },
				Package () { 0x000CFFFF, 2, 0, 22 }, Package () { 0x000CFFFF, 3, 0, 23 },
				Package () { 0x000DFFFF, 0, 0, 21 }, Package () { 0x000DFFFF, 1, 0, 22 },
				Package () { 0x000DFFFF, 2, 0, 23 }, Package () { 0x000DFFFF, 3, 0, 16 },
				Package () { 0x000EFFFF, 0, 0, 22 }, Package () { 0x000EFFFF, 1, 0, 23 },
				Package () { 0x000EFFFF, 2, 0, 16 }, Package () { 0x000EFFFF, 3, 0, 17 },
				Package () { 0x000FFFFF, 0, 0, 23 }, Package () { 0x000FFFFF, 1, 0, 16 },
				Package () { 0x000FFFFF, 2, 0, 17 }, Package () { 0x000FFFFF, 3, 0, 18 },
				Package () { 0x0010FFFF, 0, 0, 16 }, Package () { 0x0010FFFF, 1, 0, 17 },
				Package () { 0x0010FFFF, 2, 0, 18 }, Package () { 0x0010FFFF, 3, 0, 19 },
				Package () { 0x0011FFFF, 0, 0, 17 }, Package () { 0x0011FFFF, 1, 0, 18 },
				Package () { 0x0011FFFF, 2, 0, 19 }, Package () { 0x0011FFFF, 3, 0, 20 },
				Package () { 0x0012FFFF, 0, 0, 18 }, Package () { 0x0012FFFF, 1, 0, 19 },
				Package () { 0x0012FFFF, 2, 0, 20 }, Package () { 0x0012FFFF, 3, 0, 21 },
				Package () { 0x0013FFFF, 0, 0, 19 }, Package () { 0x0013FFFF, 1, 0, 20 },
				Package () { 0x0013FFFF, 2, 0, 21 }, Package () { 0x0013FFFF, 3, 0, 22 },
				Package () { 0x0014FFFF, 0, 0, 20 }, Package () { 0x0014FFFF, 1, 0, 21 },
				Package () { 0x0014FFFF, 2, 0, 22 }, Package () { 0x0014FFFF, 3, 0, 23 },
				Package () { 0x0015FFFF, 0, 0, 21 }, Package () { 0x0015FFFF, 1, 0, 22 },
				Package () { 0x0015FFFF, 2, 0, 23 }, Package () { 0x0015FFFF, 3, 0, 16 },
				Package () { 0x0016FFFF, 0, 0, 22 }, Package () { 0x0016FFFF, 1, 0, 23 },
				Package () { 0x0016FFFF, 2, 0, 16 }, Package () { 0x0016FFFF, 3, 0, 17 },
				Package () { 0x0017FFFF, 0, 0, 23 }, Package () { 0x0017FFFF, 1, 0, 16 },
				Package () { 0x0017FFFF, 2, 0, 17 }, Package () { 0x0017FFFF, 3, 0, 18 },
				Package () { 0x0018FFFF, 0, 0, 16 }, Package () { 0x0018FFFF, 1, 0, 17 },
				Package () { 0x0018FFFF, 2, 0, 18 }, Package () { 0x0018FFFF, 3, 0, 19 },
				Package () { 0x0019FFFF, 0, 0, 16 }, Package () { 0x0019FFFF, 1, 0, 17 },
				Package () { 0x0019FFFF, 2, 0, 18 }, Package () { 0x0019FFFF, 3, 0, 19 },
				Package () { 0x001AFFFF, 0, 0, 16 }, Package () { 0x001AFFFF, 1, 0, 17 },
				Package () { 0x001AFFFF, 2, 0, 18 }, Package () { 0x001AFFFF, 3, 0, 19 },
				Package () { 0x001BFFFF, 0, 0, 16 }, Package () { 0x001BFFFF, 1, 0, 17 },
				Package () { 0x001BFFFF, 2, 0, 18 }, Package () { 0x001BFFFF, 3, 0, 19 },
				Package () { 0x001CFFFF, 0, 0, 16 }, Package () { 0x001CFFFF, 1, 0, 17 },
				Package () { 0x001CFFFF, 2, 0, 18 }, Package () { 0x001CFFFF, 3, 0, 19 },
				Package () { 0x001DFFFF, 0, 0, 16 }, Package () { 0x001DFFFF, 1, 0, 17 },
				Package () { 0x001DFFFF, 2, 0, 18 }, Package () { 0x001DFFFF, 3, 0, 19 },
				Package () { 0x001EFFFF, 0, 0, 16 }, Package () { 0x001EFFFF, 1, 0, 17 },
				Package () { 0x001EFFFF, 2, 0, 18 }, Package () { 0x001EFFFF, 3, 0, 19 },
				Package () { 0x001FFFFF, 0, 0, 16 }, Package () { 0x001FFFFF, 1, 0, 17 },
				Package () { 0x001FFFFF, 2, 0, 18 }, Package () { 0x001FFFFF, 3, 0, 19 }
			})

			Device (ISA)
			{
				Name (_ADR, 0x001F0000)
				OperationRegion (PIRQ, PCI_Config, 0x60, 0x0C)
				Field (PIRQ, ByteAcc, NoLock, Preserve)
				{
					PRQA, 8, PRQB, 8, PRQC, 8, PRQD, 8,
					Offset (0x08),
					PRQE, 8, PRQF, 8, PRQG, 8, PRQH, 8
				}

				Device (PIC)
				{
					Name (_HID, EisaId ("PNP0000"))
					Name (_CRS, ResourceTemplate ()
					{
						IO (Decode16, 0x0020, 0x0020, 0x01, 0x02)
						IO (Decode16, 0x00A0, 0x00A0, 0x01, 0x02)
						IO (Decode16, 0x04D0, 0x04D0, 0x01, 0x02)
						IRQNoFlags () { 2 }
					})
				}

				Device (DMAC)
				{
					Name (_HID, EisaId ("PNP0200"))
					Name (_CRS, ResourceTemplate ()
					{
						IO (Decode16, 0x0000, 0x0000, 0x01, 0x20)
						IO (Decode16, 0x0081, 0x0081, 0x01, 0x11)
						IO (Decode16, 0x0093, 0x0093, 0x01, 0x0D)
						IO (Decode16, 0x00C0, 0x00C0, 0x01, 0x20)
						DMA (Compatibility, NotBusMaster, Transfer8) { 4 }
					})
				}

				/* Drives by type: 360K, 1200K, 720K, 1440K, 2880K. What a BIOS knows of them. */
				Name (FDTT, Package ()
				{
					Package () { 0, 1, 39, 9, 1, 0xDF, 2, 0x25, 2, 9, 0x2A, 0xFF, 0x50, 0xF6, 15, 8 },
					Package () { 0, 2, 79, 15, 1, 0xDF, 2, 0x25, 2, 15, 0x1B, 0xFF, 0x54, 0xF6, 15, 8 },
					Package () { 0, 3, 79, 9, 1, 0xDF, 2, 0x25, 2, 9, 0x2A, 0xFF, 0x50, 0xF6, 15, 8 },
					Package () { 0, 4, 79, 18, 1, 0xAF, 2, 0x25, 2, 18, 0x1B, 0xFF, 0x6C, 0xF6, 15, 8 },
					Package () { 0, 5, 79, 36, 1, 0xAF, 2, 0x25, 2, 36, 0x1B, 0xFF, 0x53, 0xF6, 15, 8 }
				})
				Method (FDTD, 2, Serialized)
				{
					Local0 = DerefOf (FDTT [(Arg1 - 1)])
					Local0 [0] = Arg0
					Return (Local0)
				}

				Device (FDC0)
				{
					Name (_HID, EisaId ("PNP0700"))
					Method (_STA, 0, NotSerialized)
					{
						If (FLGS & 0x0F00)
						{
							Return (0x0F)
						}
						Return (0x00)
					}
					Name (_CRS, ResourceTemplate ()
					{
						IO (Decode16, 0x03F0, 0x03F0, 0x01, 0x06)
						IO (Decode16, 0x03F7, 0x03F7, 0x01, 0x01)
						DMA (Compatibility, NotBusMaster, Transfer8) { 2 }
						IRQNoFlags () { 6 }
					})

					/* Four drives, there or not; a tape drive never is. */
					Name (FDEB, Buffer (20)
					{
						1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0
					})
					Method (_FDE, 0, Serialized)
					{
						CreateDWordField (FDEB, 0x04, SECD)
						If (FLGS & 0xF000)
						{
							SECD = 1
						}
						Return (FDEB)
					}

					Device (FLPA)
					{
						Name (_ADR, 0)
						Method (_FDI, 0, NotSerialized)
						{
							Return (FDTD (0, ((FLGS >> 8) & 0x0F)))
						}
					}

					Device (FLPB)
					{
						Name (_ADR, 1)
						Method (_STA, 0, NotSerialized)
						{
							If (FLGS & 0xF000)
							{
								Return (0x0F)
							}
							Return (0x00)
						}
						Method (_FDI, 0, NotSerialized)
						{
							Return (FDTD (1, ((FLGS >> 12) & 0x0F)))
						}
					}
				}

				Device (TMR)
				{
					Name (_HID, EisaId ("PNP0100"))
					Name (_CRS, ResourceTemplate ()
					{
						IO (Decode16, 0x0040, 0x0040, 0x01, 0x04)
						IRQNoFlags () { 0 }
					})
				}

				Device (SPKR)
				{
					Name (_HID, EisaId ("PNP0800"))
					Name (_CRS, ResourceTemplate ()
					{
						IO (Decode16, 0x0061, 0x0061, 0x01, 0x01)
					})
				}

				Device (RTC)
				{
					Name (_HID, EisaId ("PNP0B00"))
					Name (_CRS, ResourceTemplate ()
					{
						IO (Decode16, 0x0070, 0x0070, 0x01, 0x02)
						IRQNoFlags () { 8 }
					})
				}

				Device (COM1)
				{
					Name (_HID, EisaId ("PNP0501"))
					Name (_UID, 1)
					Method (_STA, 0, NotSerialized)
					{
						If (FLGS & 0x01)
						{
							Return (0x0F)
						}
						Return (0x00)
					}
					Name (_CRS, ResourceTemplate ()
					{
						IO (Decode16, 0x03F8, 0x03F8, 0x01, 0x08)
						IRQNoFlags () { 4 }
					})
				}

				Device (PS2K)
				{
					Name (_HID, EisaId ("PNP0303"))
					Method (_STA, 0, NotSerialized)
					{
						If (FLGS & 0x02)
						{
							Return (0x0F)
						}
						Return (0x00)
					}
					Name (_CRS, ResourceTemplate ()
					{
						IO (Decode16, 0x0060, 0x0060, 0x01, 0x01)
						IO (Decode16, 0x0064, 0x0064, 0x01, 0x01)
						IRQNoFlags () { 1 }
					})
				}

				Device (PS2M)
				{
					Name (_HID, EisaId ("PNP0F13"))
					Method (_STA, 0, NotSerialized)
					{
						If (FLGS & 0x04)
						{
							Return (0x0F)
						}
						Return (0x00)
					}
					Name (_CRS, ResourceTemplate ()
					{
						IRQNoFlags () { 12 }
					})
				}
			}
		}
	}
}
