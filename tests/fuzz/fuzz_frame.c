/* Packets of any origin: what is accepted lies inside the packet, and what is built from it is
 * accepted again. */
#include "carpd/frame.h"
#include "common/check.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[FRAME_PACKET_MAX];
	struct frame_neighbour neighbour;
	struct frame_ip ip, ip_again;
	size_t built;

	if (frame_ip_parse(data, size, &ip) == FRAME_DROP_NONE) {
		CHECK(ip.payload >= data && ip.payload + ip.payload_bytes <= data + size);
		built = frame_ip_build(again, sizeof(again), &ip.source, &ip.destination, 0,
			ip.payload, ip.payload_bytes);
		if (ip.payload_bytes <= FRAME_PAYLOAD_MAX) {
			CHECK(frame_ip_parse(again, built, &ip_again) == FRAME_DROP_NONE);
			CHECK(ip_again.payload_bytes == ip.payload_bytes);
		} else {
			CHECK(built == 0);
		}
	}
	if (frame_arp_parse(data, size, &neighbour))
		CHECK(neighbour.address.family == IPADDR_V4);
	if (frame_nd_parse(data, size, &neighbour))
		CHECK(neighbour.address.family == IPADDR_V6);
	return 0;
}
