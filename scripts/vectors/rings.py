"""The rings Z_2^b, how values travel, and the check values (first page of crates/secagg, and its module `ring`)."""

RINGS = (16, 20, 24, 32)


def check_values(bits):
    """As many zeros, before masking, as hold 256 bits."""
    return -(-256 // bits)


def upload_bytes(bits, length):
    return -(-(length + check_values(bits)) * bits // 8)


def pack(bits, values):
    """Value i takes the bits [i b, (i + 1) b), the lowest bit of a byte first; spare bits are zero."""
    number = 0
    for i, value in enumerate(values):
        number |= (value % (1 << bits)) << (i * bits)
    return number.to_bytes(-(-len(values) * bits // 8), "little")


def unpack(bits, data, count):
    number = int.from_bytes(data, "little")
    return [(number >> (i * bits)) % (1 << bits) for i in range(count)]


def self_test():
    assert pack(20, [0x12345, 0xABCDE]).hex() == "4523e1cdab"
    assert pack(20, [0xFFFFF]).hex() == "ffff0f"
    assert pack(24, [0x123456]).hex() == "563412"
    for bits in RINGS:
        values = [i * 0x9E3779B1 % (1 << bits) for i in range(9)]
        assert unpack(bits, pack(bits, values), 9) == values
        assert upload_bytes(bits, 9) == len(pack(bits, values + [0] * check_values(bits)))
