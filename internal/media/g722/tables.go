package g722

// The constants of G.722, by the standard's names.
var (
	// qmf: one half of the symmetric filter (table 11, H).
	qmf = [12]int{3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11}

	// lowLevels: decision levels of the 6-bit quantizer (Q6).
	lowLevels = [29]int{
		35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714,
		786, 858, 940, 1023, 1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
	}
	// lowNegative, lowPositive: codes of the intervals between them (ILN, ILP).
	lowNegative = [30]int{
		63, 62, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19,
		18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4,
	}
	lowPositive = [30]int{
		61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47,
		46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34, 33, 32,
	}
	// low4, low6: what a code of 4 and of 6 bits stands for (QQ4, QQ6).
	low4 = [16]int{
		0, -20456, -12896, -8968, -6288, -4240, -2584, -1200,
		20456, 12896, 8968, 6288, 4240, 2584, 1200, 0,
	}
	low6 = [64]int{
		-136, -136, -136, -136, -24808, -21904, -19008, -16704,
		-14984, -13512, -12280, -11192, -10232, -9360, -8576, -7856,
		-7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576,
		-3168, -2776, -2400, -2032, -1688, -1360, -1040, -728,
		24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192,
		10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456,
		4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032,
		1688, 1360, 1040, 728, 432, 136, -432, -136,
	}
	// lowMagnitude: the size a 4-bit code tells (RL42), which chooses the step
	// of the scale factor in lowScale (WL).
	lowMagnitude = [16]int{0, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0}
	lowScale     = [8]int{-60, -30, 58, 172, 334, 538, 1198, 3042}

	// high2: what a 2-bit code stands for (QQ2); highScale: the step of the
	// scale factor for the codes of large and of small values (WH).
	high2     = [4]int{-7408, -1616, 7408, 1616}
	highScale = [2]int{798, -214}

	// inverseLog: 2^(11+i/32) (ILB).
	inverseLog = [32]int{
		2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543,
		2599, 2656, 2714, 2774, 2834, 2896, 2960, 3025, 3091, 3158, 3228,
		3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
	}
)

// highLevel is the one decision level of the 2-bit quantizer (Q2).
const highLevel = 564
